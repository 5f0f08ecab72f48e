//! Suites, keys and signatures: the arithmetic of libraries under the names of the RFCs.

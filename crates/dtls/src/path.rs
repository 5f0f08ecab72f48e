//! Where datagrams come from and go to.

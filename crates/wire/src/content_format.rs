//! Content-Format numbers: a media type and a content coding in one number (RFC 7252 §12.3).

use core::fmt;
use core::str::FromStr;

/// The number of a content format, as in Content-Format and Accept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentFormat(pub u16);

impl ContentFormat {
    /// The media type with its parameters, for instance `application/json`.
    #[must_use]
    pub fn media_type(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.media_type)
    }

    /// The content coding, for instance `deflate`; `None` if there is none or the number is unregistered.
    #[must_use]
    pub fn coding(self) -> Option<&'static str> {
        self.entry().and_then(|entry| entry.coding)
    }

    /// A short name for people to type, for instance `json` or `senml-cbor`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.entry().map(|entry| entry.name)
    }

    /// All registered content formats, in the order of their numbers.
    pub fn registered() -> impl Iterator<Item = ContentFormat> {
        ENTRIES.iter().map(|entry| entry.format)
    }

    fn entry(self) -> Option<&'static Entry> {
        let index = ENTRIES.binary_search_by_key(&self, |entry| entry.format).ok()?;
        ENTRIES.get(index)
    }
}

impl fmt::Display for ContentFormat {
    /// The number and what it stands for: `50 (application/json)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            None => self.0.fmt(f),
            Some(Entry {
                media_type,
                coding: None,
                ..
            }) => write!(f, "{} ({media_type})", self.0),
            Some(Entry {
                media_type,
                coding: Some(coding),
                ..
            }) => {
                write!(f, "{} ({media_type}, {coding})", self.0)
            }
        }
    }
}

impl fmt::Debug for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentFormat({self})")
    }
}

impl From<u16> for ContentFormat {
    fn from(number: u16) -> Self {
        ContentFormat(number)
    }
}

impl FromStr for ContentFormat {
    type Err = ParseContentFormatError;

    /// Reads a number (`50`), a short name (`json`, `senml+cbor`, `senml-cbor`) or a media type
    /// (`application/json`; `text/plain` stands for UTF-8). Letters may have any case, and blanks around
    /// parameters do not matter. A media type means the format without content coding.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse() {
            return Ok(ContentFormat(number));
        }
        let found = if text.contains('/') {
            ENTRIES
                .iter()
                .find(|entry| entry.coding.is_none() && entry.is_media_type(text))
        } else {
            ENTRIES.iter().find(|entry| same_name(entry.name, text))
        };
        found.map(|entry| entry.format).ok_or(ParseContentFormatError(()))
    }
}

/// The text is neither a number up to 65535 nor the name or media type of a registered content format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseContentFormatError(());

impl fmt::Display for ParseContentFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no content format: a number, a media type or a short name such as json or senml-cbor")
    }
}

impl core::error::Error for ParseContentFormatError {}

struct Entry {
    format: ContentFormat,
    name: &'static str,
    media_type: &'static str,
    coding: Option<&'static str>,
}

impl Entry {
    fn is_media_type(&self, text: &str) -> bool {
        same_media_type(self.media_type, text)
            || self
                .media_type
                .strip_suffix(";charset=utf-8")
                .is_some_and(|bare| same_media_type(bare, text))
    }
}

const fn entry(
    format: ContentFormat,
    name: &'static str,
    media_type: &'static str,
    coding: Option<&'static str>,
) -> Entry {
    Entry {
        format,
        name,
        media_type,
        coding,
    }
}

/// Compares short names; `+`, `_` and `-` are one.
fn same_name(own: &str, text: &str) -> bool {
    let plain = |byte: u8| match byte {
        b'+' | b'_' => b'-',
        other => other.to_ascii_lowercase(),
    };
    own.bytes().eq(text.bytes().map(plain))
}

fn same_media_type(own: &str, text: &str) -> bool {
    let plain = |byte: u8| byte.to_ascii_lowercase();
    own.bytes()
        .map(plain)
        .eq(text.bytes().filter(|byte| *byte != b' ').map(plain))
}

impl ContentFormat {
    /// `text/plain;charset=utf-8` (RFC 2046).
    pub const TEXT: ContentFormat = ContentFormat(0);
    /// `application/cose;cose-type="cose-encrypt0"` (RFC 9052).
    pub const COSE_ENCRYPT0: ContentFormat = ContentFormat(16);
    /// `application/cose;cose-type="cose-mac0"` (RFC 9052).
    pub const COSE_MAC0: ContentFormat = ContentFormat(17);
    /// `application/cose;cose-type="cose-sign1"` (RFC 9052).
    pub const COSE_SIGN1: ContentFormat = ContentFormat(18);
    /// `application/ace+cbor` (RFC 9200).
    pub const ACE_CBOR: ContentFormat = ContentFormat(19);
    /// `image/gif` (IANA registry).
    pub const GIF: ContentFormat = ContentFormat(21);
    /// `image/jpeg` (ISO/IEC 10918-5).
    pub const JPEG: ContentFormat = ContentFormat(22);
    /// `image/png` (RFC 2083).
    pub const PNG: ContentFormat = ContentFormat(23);
    /// `application/link-format` (RFC 6690).
    pub const LINK_FORMAT: ContentFormat = ContentFormat(40);
    /// `application/xml` (RFC 3023).
    pub const XML: ContentFormat = ContentFormat(41);
    /// `application/octet-stream` (RFC 2045).
    pub const OCTET_STREAM: ContentFormat = ContentFormat(42);
    /// `application/exi` (IANA registry).
    pub const EXI: ContentFormat = ContentFormat(47);
    /// `application/json` (RFC 8259).
    pub const JSON: ContentFormat = ContentFormat(50);
    /// `application/json-patch+json` (RFC 6902).
    pub const JSON_PATCH_JSON: ContentFormat = ContentFormat(51);
    /// `application/merge-patch+json` (RFC 7396).
    pub const MERGE_PATCH_JSON: ContentFormat = ContentFormat(52);
    /// `application/cbor` (RFC 8949).
    pub const CBOR: ContentFormat = ContentFormat(60);
    /// `application/cwt` (RFC 8392).
    pub const CWT: ContentFormat = ContentFormat(61);
    /// `application/multipart-core` (RFC 8710).
    pub const MULTIPART_CORE: ContentFormat = ContentFormat(62);
    /// `application/cbor-seq` (RFC 8742).
    pub const CBOR_SEQ: ContentFormat = ContentFormat(63);
    /// `application/edhoc+cbor-seq` (RFC 9528).
    pub const EDHOC_CBOR_SEQ: ContentFormat = ContentFormat(64);
    /// `application/cid-edhoc+cbor-seq` (RFC 9528).
    pub const CID_EDHOC_CBOR_SEQ: ContentFormat = ContentFormat(65);
    /// `application/cose;cose-type="cose-encrypt"` (RFC 9052).
    pub const COSE_ENCRYPT: ContentFormat = ContentFormat(96);
    /// `application/cose;cose-type="cose-mac"` (RFC 9052).
    pub const COSE_MAC: ContentFormat = ContentFormat(97);
    /// `application/cose;cose-type="cose-sign"` (RFC 9052).
    pub const COSE_SIGN: ContentFormat = ContentFormat(98);
    /// `application/cose-key` (RFC 9052).
    pub const COSE_KEY: ContentFormat = ContentFormat(101);
    /// `application/cose-key-set` (RFC 9052).
    pub const COSE_KEY_SET: ContentFormat = ContentFormat(102);
    /// `application/senml+json` (RFC 8428).
    pub const SENML_JSON: ContentFormat = ContentFormat(110);
    /// `application/sensml+json` (RFC 8428).
    pub const SENSML_JSON: ContentFormat = ContentFormat(111);
    /// `application/senml+cbor` (RFC 8428).
    pub const SENML_CBOR: ContentFormat = ContentFormat(112);
    /// `application/sensml+cbor` (RFC 8428).
    pub const SENSML_CBOR: ContentFormat = ContentFormat(113);
    /// `application/senml-exi` (RFC 8428).
    pub const SENML_EXI: ContentFormat = ContentFormat(114);
    /// `application/sensml-exi` (RFC 8428).
    pub const SENSML_EXI: ContentFormat = ContentFormat(115);
    /// `application/yang-data+cbor;id=sid` (RFC 9254).
    pub const YANG_DATA_CBOR_SID: ContentFormat = ContentFormat(140);
    /// `application/coap-group+json` (RFC 7390).
    pub const COAP_GROUP_JSON: ContentFormat = ContentFormat(256);
    /// `application/concise-problem-details+cbor` (RFC 9290).
    pub const CONCISE_PROBLEM_DETAILS_CBOR: ContentFormat = ContentFormat(257);
    /// `application/swid+cbor` (RFC 9393).
    pub const SWID_CBOR: ContentFormat = ContentFormat(258);
    /// `application/pkixcmp` (RFC 9482).
    pub const PKIXCMP: ContentFormat = ContentFormat(259);
    /// `application/yang-sid+json` (RFC 9595).
    pub const YANG_SID_JSON: ContentFormat = ContentFormat(260);
    /// `application/ace-groupcomm+cbor` (RFC 9594).
    pub const ACE_GROUPCOMM_CBOR: ContentFormat = ContentFormat(261);
    /// `application/ace-trl+cbor` (RFC 9770).
    pub const ACE_TRL_CBOR: ContentFormat = ContentFormat(262);
    /// `application/eat+cwt` (RFC 9782).
    pub const EAT_CWT: ContentFormat = ContentFormat(263);
    /// `application/eat+jwt` (RFC 9782).
    pub const EAT_JWT: ContentFormat = ContentFormat(264);
    /// `application/eat-bun+cbor` (RFC 9782).
    pub const EAT_BUN_CBOR: ContentFormat = ContentFormat(265);
    /// `application/eat-bun+json` (RFC 9782).
    pub const EAT_BUN_JSON: ContentFormat = ContentFormat(266);
    /// `application/eat-ucs+cbor` (RFC 9782).
    pub const EAT_UCS_CBOR: ContentFormat = ContentFormat(267);
    /// `application/eat-ucs+json` (RFC 9782).
    pub const EAT_UCS_JSON: ContentFormat = ContentFormat(268);
    /// `application/coap-eap` (RFC 9820).
    pub const COAP_EAP: ContentFormat = ContentFormat(269);
    /// `application/suit-report+cose` (draft-ietf-suit-report; draft).
    pub const SUIT_REPORT_COSE: ContentFormat = ContentFormat(270);
    /// `application/dots+cbor` (RFC 9132).
    pub const DOTS_CBOR: ContentFormat = ContentFormat(271);
    /// `application/missing-blocks+cbor-seq` (RFC 9177).
    pub const MISSING_BLOCKS_CBOR_SEQ: ContentFormat = ContentFormat(272);
    /// `application/cmw+cbor` (draft-ietf-rats-msg-wrap; draft).
    pub const CMW_CBOR: ContentFormat = ContentFormat(273);
    /// `application/cmw+json` (draft-ietf-rats-msg-wrap; draft).
    pub const CMW_JSON: ContentFormat = ContentFormat(274);
    /// `application/cmw+cose` (draft-ietf-rats-msg-wrap; draft).
    pub const CMW_COSE: ContentFormat = ContentFormat(275);
    /// `application/cmw+jws` (draft-ietf-rats-msg-wrap; draft).
    pub const CMW_JWS: ContentFormat = ContentFormat(276);
    /// `application/scitt-statement+cose` (RFC 9943).
    pub const SCITT_STATEMENT_COSE: ContentFormat = ContentFormat(277);
    /// `application/scitt-receipt+cose` (RFC 9943).
    pub const SCITT_RECEIPT_COSE: ContentFormat = ContentFormat(278);
    /// `application/statuslist+cwt` (draft-ietf-oauth-status-list; draft).
    pub const STATUSLIST_CWT: ContentFormat = ContentFormat(279);
    /// `application/pkcs7-mime;smime-type=server-generated-key` (RFC 7030).
    pub const PKCS7_SERVER_GENERATED_KEY: ContentFormat = ContentFormat(280);
    /// `application/pkcs7-mime;smime-type=certs-only` (RFC 8551).
    pub const PKCS7_CERTS_ONLY: ContentFormat = ContentFormat(281);
    /// `application/pkcs8` (RFC 5958).
    pub const PKCS8: ContentFormat = ContentFormat(284);
    /// `application/csrattrs` (RFC 7030).
    pub const CSRATTRS: ContentFormat = ContentFormat(285);
    /// `application/pkcs10` (RFC 5967).
    pub const PKCS10: ContentFormat = ContentFormat(286);
    /// `application/pkix-cert` (RFC 2585).
    pub const PKIX_CERT: ContentFormat = ContentFormat(287);
    /// `application/aif+cbor` (RFC 9237).
    pub const AIF_CBOR: ContentFormat = ContentFormat(290);
    /// `application/aif+json` (RFC 9237).
    pub const AIF_JSON: ContentFormat = ContentFormat(291);
    /// `application/aif+cbor;toid=CRI-local-part` (draft-ietf-core-href; draft).
    pub const AIF_CBOR_CRI: ContentFormat = ContentFormat(292);
    /// `application/sd-cwt` (draft-ietf-spice-sd-cwt; temporary until 2026-12-08).
    pub const SD_CWT: ContentFormat = ContentFormat(293);
    /// `application/kb+cwt` (draft-ietf-spice-sd-cwt; temporary until 2026-12-08).
    pub const KB_CWT: ContentFormat = ContentFormat(294);
    /// `application/measured-component+cbor` (draft-ietf-rats-eat-measured-component; draft).
    pub const MEASURED_COMPONENT_CBOR: ContentFormat = ContentFormat(295);
    /// `application/measured-component+json` (draft-ietf-rats-eat-measured-component; draft).
    pub const MEASURED_COMPONENT_JSON: ContentFormat = ContentFormat(296);
    /// `application/aif+cbor;toid=oscore-gname;tperm=oscore-gperm` (draft-ietf-ace-key-groupcomm-oscore; draft).
    pub const AIF_CBOR_OSCORE: ContentFormat = ContentFormat(297);
    /// `application/aif+json;toid=oscore-gname;tperm=oscore-gperm` (draft-ietf-ace-key-groupcomm-oscore; draft).
    pub const AIF_JSON_OSCORE: ContentFormat = ContentFormat(298);
    /// `application/senml+xml` (RFC 8428).
    pub const SENML_XML: ContentFormat = ContentFormat(310);
    /// `application/sensml+xml` (RFC 8428).
    pub const SENSML_XML: ContentFormat = ContentFormat(311);
    /// `application/senml-etch+json` (RFC 8790).
    pub const SENML_ETCH_JSON: ContentFormat = ContentFormat(320);
    /// `application/senml-etch+cbor` (RFC 8790).
    pub const SENML_ETCH_CBOR: ContentFormat = ContentFormat(322);
    /// `application/yang-data+cbor` (RFC 9254).
    pub const YANG_DATA_CBOR: ContentFormat = ContentFormat(340);
    /// `application/yang-data+cbor;id=name` (RFC 9254).
    pub const YANG_DATA_CBOR_NAME: ContentFormat = ContentFormat(341);
    /// `application/td+json` (IANA registry).
    pub const TD_JSON: ContentFormat = ContentFormat(432);
    /// `application/tm+json` (IANA registry).
    pub const TM_JSON: ContentFormat = ContentFormat(433);
    /// `application/sdf+json` (RFC 9880).
    pub const SDF_JSON: ContentFormat = ContentFormat(434);
    /// `application/dns-message` (RFC 8484).
    pub const DNS_MESSAGE: ContentFormat = ContentFormat(553);
    /// `application/uccs+cbor` (RFC 9781).
    pub const UCCS_CBOR: ContentFormat = ContentFormat(601);
    /// `application/voucher+cose` (draft-ietf-anima-constrained-voucher; temporary until 2027-04-12).
    pub const VOUCHER_COSE: ContentFormat = ContentFormat(836);
    /// `application/vnd.ocf+cbor` (Michael_Koster).
    pub const OCF_CBOR: ContentFormat = ContentFormat(10000);
    /// `application/oscore` (RFC 8613).
    pub const OSCORE: ContentFormat = ContentFormat(10001);
    /// `application/javascript` (RFC 4329).
    pub const JAVASCRIPT: ContentFormat = ContentFormat(10002);
    /// `application/eat+cwt;eat_profile="tag:psacertified.org,2023:psa#tfm"` (RFC 9783).
    pub const EAT_CWT_PSA_2023: ContentFormat = ContentFormat(10003);
    /// `application/eat+cwt;eat_profile="tag:psacertified.org,2019:psa#legacy"` (RFC 9783).
    pub const EAT_CWT_PSA_2019: ContentFormat = ContentFormat(10004);
    /// `application/eat+cwt;eat_profile=2.16.840.1.113741.1.16.1` (RFC 9782).
    pub const EAT_CWT_INTEL: ContentFormat = ContentFormat(10005);
    /// `application/vnd.oms.cellular-cose-content+cbor` (OMS Group).
    pub const OMS_CELLULAR_COSE_CBOR: ContentFormat = ContentFormat(10006);
    /// `application/syslog-msg` (media type registration).
    pub const SYSLOG_MSG: ContentFormat = ContentFormat(10007);
    /// `application/toc+cbor` (CE-Binding, Section 6.3.1).
    pub const TOC_CBOR: ContentFormat = ContentFormat(10570);
    /// `application/ce+cbor` (CE-Binding, Section 6.3.2).
    pub const CE_CBOR: ContentFormat = ContentFormat(10571);
    /// `application/toc+cbor;profile=2.16.840.1.113741.1.16.1` (TCG DICE Concise Evidence Binding for SPDM).
    pub const TOC_CBOR_INTEL: ContentFormat = ContentFormat(10572);
    /// `application/ce+cbor;profile=2.16.840.1.113741.1.16.1` (TCG DICE Concise Evidence Binding for SPDM).
    pub const CE_CBOR_INTEL: ContentFormat = ContentFormat(10573);
    /// `application/json, coding deflate` (RFC 8259).
    pub const JSON_DEFLATE: ContentFormat = ContentFormat(11050);
    /// `application/cbor, coding deflate` (RFC 8949).
    pub const CBOR_DEFLATE: ContentFormat = ContentFormat(11060);
    /// `application/vnd.oma.lwm2m+tlv` (OMA-TS-LightweightM2M-V1_0).
    pub const LWM2M_TLV: ContentFormat = ContentFormat(11542);
    /// `application/vnd.oma.lwm2m+json` (OMA-TS-LightweightM2M-V1_0).
    pub const LWM2M_JSON: ContentFormat = ContentFormat(11543);
    /// `application/vnd.oma.lwm2m+cbor` (OMA-TS-LightweightM2M-V1_2).
    pub const LWM2M_CBOR: ContentFormat = ContentFormat(11544);
    /// `text/plain;charset=utf-8, coding zstd` (Benjamin_Valentin).
    pub const TEXT_ZSTD: ContentFormat = ContentFormat(12000);
    /// `application/xml, coding zstd` (Benjamin_Valentin).
    pub const XML_ZSTD: ContentFormat = ContentFormat(12041);
    /// `application/json, coding zstd` (Benjamin_Valentin).
    pub const JSON_ZSTD: ContentFormat = ContentFormat(12050);
    /// `text/css` (RFC 2318).
    pub const CSS: ContentFormat = ContentFormat(20000);
    /// `application/vnd.as207960.vas.config+jer` (AS207960).
    pub const VAS_CONFIG_JER: ContentFormat = ContentFormat(20001);
    /// `application/vnd.as207960.vas.config+uper` (AS207960).
    pub const VAS_CONFIG_UPER: ContentFormat = ContentFormat(20002);
    /// `application/vnd.as207960.vas.tap+jer` (AS207960).
    pub const VAS_TAP_JER: ContentFormat = ContentFormat(20003);
    /// `application/vnd.as207960.vas.tap+uper` (AS207960).
    pub const VAS_TAP_UPER: ContentFormat = ContentFormat(20004);
    /// `image/svg+xml` (IANA registry).
    pub const SVG_XML: ContentFormat = ContentFormat(30000);
}

/// Sorted by number.
#[rustfmt::skip]
static ENTRIES: [Entry; 110] = [
    entry(ContentFormat::TEXT, "text", "text/plain;charset=utf-8", None),
    entry(ContentFormat::COSE_ENCRYPT0, "cose-encrypt0", "application/cose;cose-type=\"cose-encrypt0\"", None),
    entry(ContentFormat::COSE_MAC0, "cose-mac0", "application/cose;cose-type=\"cose-mac0\"", None),
    entry(ContentFormat::COSE_SIGN1, "cose-sign1", "application/cose;cose-type=\"cose-sign1\"", None),
    entry(ContentFormat::ACE_CBOR, "ace-cbor", "application/ace+cbor", None),
    entry(ContentFormat::GIF, "gif", "image/gif", None),
    entry(ContentFormat::JPEG, "jpeg", "image/jpeg", None),
    entry(ContentFormat::PNG, "png", "image/png", None),
    entry(ContentFormat::LINK_FORMAT, "link-format", "application/link-format", None),
    entry(ContentFormat::XML, "xml", "application/xml", None),
    entry(ContentFormat::OCTET_STREAM, "octet-stream", "application/octet-stream", None),
    entry(ContentFormat::EXI, "exi", "application/exi", None),
    entry(ContentFormat::JSON, "json", "application/json", None),
    entry(ContentFormat::JSON_PATCH_JSON, "json-patch-json", "application/json-patch+json", None),
    entry(ContentFormat::MERGE_PATCH_JSON, "merge-patch-json", "application/merge-patch+json", None),
    entry(ContentFormat::CBOR, "cbor", "application/cbor", None),
    entry(ContentFormat::CWT, "cwt", "application/cwt", None),
    entry(ContentFormat::MULTIPART_CORE, "multipart-core", "application/multipart-core", None),
    entry(ContentFormat::CBOR_SEQ, "cbor-seq", "application/cbor-seq", None),
    entry(ContentFormat::EDHOC_CBOR_SEQ, "edhoc-cbor-seq", "application/edhoc+cbor-seq", None),
    entry(ContentFormat::CID_EDHOC_CBOR_SEQ, "cid-edhoc-cbor-seq", "application/cid-edhoc+cbor-seq", None),
    entry(ContentFormat::COSE_ENCRYPT, "cose-encrypt", "application/cose;cose-type=\"cose-encrypt\"", None),
    entry(ContentFormat::COSE_MAC, "cose-mac", "application/cose;cose-type=\"cose-mac\"", None),
    entry(ContentFormat::COSE_SIGN, "cose-sign", "application/cose;cose-type=\"cose-sign\"", None),
    entry(ContentFormat::COSE_KEY, "cose-key", "application/cose-key", None),
    entry(ContentFormat::COSE_KEY_SET, "cose-key-set", "application/cose-key-set", None),
    entry(ContentFormat::SENML_JSON, "senml-json", "application/senml+json", None),
    entry(ContentFormat::SENSML_JSON, "sensml-json", "application/sensml+json", None),
    entry(ContentFormat::SENML_CBOR, "senml-cbor", "application/senml+cbor", None),
    entry(ContentFormat::SENSML_CBOR, "sensml-cbor", "application/sensml+cbor", None),
    entry(ContentFormat::SENML_EXI, "senml-exi", "application/senml-exi", None),
    entry(ContentFormat::SENSML_EXI, "sensml-exi", "application/sensml-exi", None),
    entry(ContentFormat::YANG_DATA_CBOR_SID, "yang-data-cbor-sid", "application/yang-data+cbor;id=sid", None),
    entry(ContentFormat::COAP_GROUP_JSON, "coap-group-json", "application/coap-group+json", None),
    entry(ContentFormat::CONCISE_PROBLEM_DETAILS_CBOR, "concise-problem-details-cbor", "application/concise-problem-details+cbor", None),
    entry(ContentFormat::SWID_CBOR, "swid-cbor", "application/swid+cbor", None),
    entry(ContentFormat::PKIXCMP, "pkixcmp", "application/pkixcmp", None),
    entry(ContentFormat::YANG_SID_JSON, "yang-sid-json", "application/yang-sid+json", None),
    entry(ContentFormat::ACE_GROUPCOMM_CBOR, "ace-groupcomm-cbor", "application/ace-groupcomm+cbor", None),
    entry(ContentFormat::ACE_TRL_CBOR, "ace-trl-cbor", "application/ace-trl+cbor", None),
    entry(ContentFormat::EAT_CWT, "eat-cwt", "application/eat+cwt", None),
    entry(ContentFormat::EAT_JWT, "eat-jwt", "application/eat+jwt", None),
    entry(ContentFormat::EAT_BUN_CBOR, "eat-bun-cbor", "application/eat-bun+cbor", None),
    entry(ContentFormat::EAT_BUN_JSON, "eat-bun-json", "application/eat-bun+json", None),
    entry(ContentFormat::EAT_UCS_CBOR, "eat-ucs-cbor", "application/eat-ucs+cbor", None),
    entry(ContentFormat::EAT_UCS_JSON, "eat-ucs-json", "application/eat-ucs+json", None),
    entry(ContentFormat::COAP_EAP, "coap-eap", "application/coap-eap", None),
    entry(ContentFormat::SUIT_REPORT_COSE, "suit-report-cose", "application/suit-report+cose", None),
    entry(ContentFormat::DOTS_CBOR, "dots-cbor", "application/dots+cbor", None),
    entry(ContentFormat::MISSING_BLOCKS_CBOR_SEQ, "missing-blocks-cbor-seq", "application/missing-blocks+cbor-seq", None),
    entry(ContentFormat::CMW_CBOR, "cmw-cbor", "application/cmw+cbor", None),
    entry(ContentFormat::CMW_JSON, "cmw-json", "application/cmw+json", None),
    entry(ContentFormat::CMW_COSE, "cmw-cose", "application/cmw+cose", None),
    entry(ContentFormat::CMW_JWS, "cmw-jws", "application/cmw+jws", None),
    entry(ContentFormat::SCITT_STATEMENT_COSE, "scitt-statement-cose", "application/scitt-statement+cose", None),
    entry(ContentFormat::SCITT_RECEIPT_COSE, "scitt-receipt-cose", "application/scitt-receipt+cose", None),
    entry(ContentFormat::STATUSLIST_CWT, "statuslist-cwt", "application/statuslist+cwt", None),
    entry(ContentFormat::PKCS7_SERVER_GENERATED_KEY, "pkcs7-server-generated-key", "application/pkcs7-mime;smime-type=server-generated-key", None),
    entry(ContentFormat::PKCS7_CERTS_ONLY, "pkcs7-certs-only", "application/pkcs7-mime;smime-type=certs-only", None),
    entry(ContentFormat::PKCS8, "pkcs8", "application/pkcs8", None),
    entry(ContentFormat::CSRATTRS, "csrattrs", "application/csrattrs", None),
    entry(ContentFormat::PKCS10, "pkcs10", "application/pkcs10", None),
    entry(ContentFormat::PKIX_CERT, "pkix-cert", "application/pkix-cert", None),
    entry(ContentFormat::AIF_CBOR, "aif-cbor", "application/aif+cbor", None),
    entry(ContentFormat::AIF_JSON, "aif-json", "application/aif+json", None),
    entry(ContentFormat::AIF_CBOR_CRI, "aif-cbor-cri", "application/aif+cbor;toid=CRI-local-part", None),
    entry(ContentFormat::SD_CWT, "sd-cwt", "application/sd-cwt", None),
    entry(ContentFormat::KB_CWT, "kb-cwt", "application/kb+cwt", None),
    entry(ContentFormat::MEASURED_COMPONENT_CBOR, "measured-component-cbor", "application/measured-component+cbor", None),
    entry(ContentFormat::MEASURED_COMPONENT_JSON, "measured-component-json", "application/measured-component+json", None),
    entry(ContentFormat::AIF_CBOR_OSCORE, "aif-cbor-oscore", "application/aif+cbor;toid=oscore-gname;tperm=oscore-gperm", None),
    entry(ContentFormat::AIF_JSON_OSCORE, "aif-json-oscore", "application/aif+json;toid=oscore-gname;tperm=oscore-gperm", None),
    entry(ContentFormat::SENML_XML, "senml-xml", "application/senml+xml", None),
    entry(ContentFormat::SENSML_XML, "sensml-xml", "application/sensml+xml", None),
    entry(ContentFormat::SENML_ETCH_JSON, "senml-etch-json", "application/senml-etch+json", None),
    entry(ContentFormat::SENML_ETCH_CBOR, "senml-etch-cbor", "application/senml-etch+cbor", None),
    entry(ContentFormat::YANG_DATA_CBOR, "yang-data-cbor", "application/yang-data+cbor", None),
    entry(ContentFormat::YANG_DATA_CBOR_NAME, "yang-data-cbor-name", "application/yang-data+cbor;id=name", None),
    entry(ContentFormat::TD_JSON, "td-json", "application/td+json", None),
    entry(ContentFormat::TM_JSON, "tm-json", "application/tm+json", None),
    entry(ContentFormat::SDF_JSON, "sdf-json", "application/sdf+json", None),
    entry(ContentFormat::DNS_MESSAGE, "dns-message", "application/dns-message", None),
    entry(ContentFormat::UCCS_CBOR, "uccs-cbor", "application/uccs+cbor", None),
    entry(ContentFormat::VOUCHER_COSE, "voucher-cose", "application/voucher+cose", None),
    entry(ContentFormat::OCF_CBOR, "ocf-cbor", "application/vnd.ocf+cbor", None),
    entry(ContentFormat::OSCORE, "oscore", "application/oscore", None),
    entry(ContentFormat::JAVASCRIPT, "javascript", "application/javascript", None),
    entry(ContentFormat::EAT_CWT_PSA_2023, "eat-cwt-psa-2023", "application/eat+cwt;eat_profile=\"tag:psacertified.org,2023:psa#tfm\"", None),
    entry(ContentFormat::EAT_CWT_PSA_2019, "eat-cwt-psa-2019", "application/eat+cwt;eat_profile=\"tag:psacertified.org,2019:psa#legacy\"", None),
    entry(ContentFormat::EAT_CWT_INTEL, "eat-cwt-intel", "application/eat+cwt;eat_profile=2.16.840.1.113741.1.16.1", None),
    entry(ContentFormat::OMS_CELLULAR_COSE_CBOR, "oms-cellular-cose-cbor", "application/vnd.oms.cellular-cose-content+cbor", None),
    entry(ContentFormat::SYSLOG_MSG, "syslog-msg", "application/syslog-msg", None),
    entry(ContentFormat::TOC_CBOR, "toc-cbor", "application/toc+cbor", None),
    entry(ContentFormat::CE_CBOR, "ce-cbor", "application/ce+cbor", None),
    entry(ContentFormat::TOC_CBOR_INTEL, "toc-cbor-intel", "application/toc+cbor;profile=2.16.840.1.113741.1.16.1", None),
    entry(ContentFormat::CE_CBOR_INTEL, "ce-cbor-intel", "application/ce+cbor;profile=2.16.840.1.113741.1.16.1", None),
    entry(ContentFormat::JSON_DEFLATE, "json-deflate", "application/json", Some("deflate")),
    entry(ContentFormat::CBOR_DEFLATE, "cbor-deflate", "application/cbor", Some("deflate")),
    entry(ContentFormat::LWM2M_TLV, "lwm2m-tlv", "application/vnd.oma.lwm2m+tlv", None),
    entry(ContentFormat::LWM2M_JSON, "lwm2m-json", "application/vnd.oma.lwm2m+json", None),
    entry(ContentFormat::LWM2M_CBOR, "lwm2m-cbor", "application/vnd.oma.lwm2m+cbor", None),
    entry(ContentFormat::TEXT_ZSTD, "text-zstd", "text/plain;charset=utf-8", Some("zstd")),
    entry(ContentFormat::XML_ZSTD, "xml-zstd", "application/xml", Some("zstd")),
    entry(ContentFormat::JSON_ZSTD, "json-zstd", "application/json", Some("zstd")),
    entry(ContentFormat::CSS, "css", "text/css", None),
    entry(ContentFormat::VAS_CONFIG_JER, "vas-config-jer", "application/vnd.as207960.vas.config+jer", None),
    entry(ContentFormat::VAS_CONFIG_UPER, "vas-config-uper", "application/vnd.as207960.vas.config+uper", None),
    entry(ContentFormat::VAS_TAP_JER, "vas-tap-jer", "application/vnd.as207960.vas.tap+jer", None),
    entry(ContentFormat::VAS_TAP_UPER, "vas-tap-uper", "application/vnd.as207960.vas.tap+uper", None),
    entry(ContentFormat::SVG_XML, "svg-xml", "image/svg+xml", None),
];

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_table_is_sorted_and_names_lead_back() {
        for pair in ENTRIES.windows(2) {
            assert!(pair[0].format < pair[1].format, "{}", pair[1].format);
        }
        for entry in &ENTRIES {
            assert_eq!(entry.name.parse(), Ok(entry.format));
            if entry.coding.is_none() {
                assert_eq!(entry.media_type.parse(), Ok(entry.format));
            }
        }
    }

    #[test]
    fn people_may_type_it_in_several_ways() {
        for text in [
            "110",
            "senml-json",
            "senml+json",
            "SenML+JSON",
            "application/senml+json",
        ] {
            assert_eq!(text.parse(), Ok(ContentFormat::SENML_JSON), "{text}");
        }
        for text in ["0", "text", "text/plain", "text/plain; charset=UTF-8"] {
            assert_eq!(text.parse(), Ok(ContentFormat::TEXT), "{text}");
        }
        assert_eq!("json-deflate".parse(), Ok(ContentFormat::JSON_DEFLATE));
        assert_eq!("65001".parse(), Ok(ContentFormat(65001)));
        for wrong in ["", "65536", "application/", "yaml", "application/cose"] {
            assert!(wrong.parse::<ContentFormat>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn display_tells_number_type_and_coding() {
        assert_eq!(ContentFormat::JSON.to_string(), "50 (application/json)");
        assert_eq!(
            ContentFormat::CBOR_DEFLATE.to_string(),
            "11060 (application/cbor, deflate)"
        );
        assert_eq!(ContentFormat(65001).to_string(), "65001");
    }
}

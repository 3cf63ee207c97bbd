// The option table of s3://. Data without code: read by src/config. An option that is not given follows the vendor's own
// environment and profile where there is one.

import type { OptionRow } from "../../util/optionRow.js";

const WHERE = "S3: where";
const WHO = "S3: credentials";
const WHAT = "S3: objects";
const WIRE = "S3: requests";
const SINCE = "0.1.0";

export const S3_OPTIONS: readonly OptionRow[] = [
  { name: "endpoint", type: "string", default: undefined, env: ["OBJMOUNT_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"], group: WHERE, since: SINCE,
    help: "URL of the service (https://s3.example.com:9000); default: the profile's endpoint_url, else Amazon's for the region" },
  { name: "region", type: "string", default: undefined, env: ["OBJMOUNT_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"], group: WHERE, since: SINCE,
    help: "Region that requests are signed for; default: the profile's, else us-east-1, and the bucket's own once the server names it" },
  { name: "path-style", type: "enum", choices: ["auto", "always", "never"], default: "auto", env: ["OBJMOUNT_S3_PATH_STYLE"], group: WHERE, since: SINCE,
    help: "Bucket in the path (always) or in the host name (never); auto: in the host name at Amazon, in the path elsewhere" },
  { name: "dual-stack", type: "boolean", default: false, env: ["OBJMOUNT_S3_DUAL_STACK", "AWS_USE_DUALSTACK_ENDPOINT"], group: WHERE, since: SINCE,
    help: "Use Amazon's endpoints that answer over IPv6 as well" },
  { name: "fips", type: "boolean", default: false, env: ["OBJMOUNT_S3_FIPS", "AWS_USE_FIPS_ENDPOINT"], group: WHERE, since: SINCE,
    help: "Use Amazon's FIPS endpoints" },
  { name: "ca-file", type: "path", default: undefined, env: ["OBJMOUNT_S3_CA_FILE", "AWS_CA_BUNDLE"], group: WHERE, since: SINCE,
    help: "PEM file with certificate authorities that are trusted besides the built-in ones" },
  { name: "tls-verify", type: "boolean", default: true, env: ["OBJMOUNT_S3_TLS_VERIFY"], group: WHERE, since: SINCE,
    help: "Verify the server's certificate" },

  { name: "profile", type: "string", default: undefined, env: ["OBJMOUNT_S3_PROFILE", "AWS_PROFILE"], group: WHO, since: SINCE,
    help: "Profile of the AWS configuration files" },
  { name: "anonymous", type: "boolean", default: false, env: ["OBJMOUNT_S3_ANONYMOUS"], group: WHO, since: SINCE,
    help: "Sign nothing: for public buckets" },
  { name: "access-key-id", type: "secret", secret: true, default: undefined, env: ["OBJMOUNT_S3_ACCESS_KEY_ID"], group: WHO, since: SINCE,
    help: "Access key; without it the AWS credential chain is asked (environment, profile, SSO, process, web identity, container, instance)" },
  { name: "secret-access-key", type: "secret", secret: true, default: undefined, env: ["OBJMOUNT_S3_SECRET_ACCESS_KEY"], group: WHO, since: SINCE,
    help: "Secret key that belongs to the access key" },
  { name: "session-token", type: "secret", secret: true, default: undefined, env: ["OBJMOUNT_S3_SESSION_TOKEN"], group: WHO, since: SINCE,
    help: "Token of temporary keys" },
  { name: "requester-pays", type: "boolean", default: false, env: ["OBJMOUNT_S3_REQUESTER_PAYS"], group: WHO, since: SINCE,
    help: "Agree to pay for requests to buckets that ask for it" },
  { name: "expected-owner", type: "string", default: undefined, env: ["OBJMOUNT_S3_EXPECTED_OWNER"], group: WHO, since: SINCE,
    help: "Account id that must own the bucket; the server refuses every request otherwise" },

  { name: "storage-class", type: "string", default: undefined, env: ["OBJMOUNT_S3_STORAGE_CLASS"], group: WHAT, since: SINCE,
    help: "Storage class of what is written; default: the bucket's, and an object that is replaced in part keeps its own" },
  { name: "acl", type: "string", default: undefined, env: ["OBJMOUNT_S3_ACL"], group: WHAT, since: SINCE,
    help: "Canned ACL of what is written (private, public-read, bucket-owner-full-control, ...)" },
  { name: "sse", type: "enum", choices: ["none", "s3", "kms", "kms-dsse", "customer"], default: "none", env: ["OBJMOUNT_S3_SSE"], group: WHAT, since: SINCE,
    help: "Encryption at the server: by keys of the store (s3), of KMS (kms, kms-dsse), or a key of one's own sent with each request (customer)" },
  { name: "sse-kms-key-id", type: "string", default: undefined, env: ["OBJMOUNT_S3_SSE_KMS_KEY_ID"], group: WHAT, since: SINCE,
    help: "KMS key for --sse=kms; default: the account's" },
  { name: "sse-kms-context", type: "string", default: undefined, env: ["OBJMOUNT_S3_SSE_KMS_CONTEXT"], group: WHAT, since: SINCE,
    help: "KMS encryption context as a JSON object of strings" },
  { name: "sse-c-key-file", type: "path", default: undefined, env: ["OBJMOUNT_S3_SSE_C_KEY_FILE"], group: WHAT, since: SINCE,
    help: "File with the key for --sse=customer: 32 bytes, or their base64" },

  { name: "conditional", type: "enum", choices: ["auto", "always", "never"], default: "auto", env: ["OBJMOUNT_S3_CONDITIONAL"], group: WIRE, since: SINCE,
    help: "Conditional writes: find out by a probe what the server enforces (auto), trust that it enforces all (always), or check by asking just before (never)" },
  { name: "probe-cache", type: "path", default: undefined, env: ["OBJMOUNT_S3_PROBE_CACHE"], group: WIRE, since: SINCE,
    help: "Directory where the answers of the probe are kept for a week" },
  { name: "checksum", type: "enum", choices: ["auto", "md5", "crc32", "crc32c", "crc64nvme", "none"], default: "auto", env: ["OBJMOUNT_S3_CHECKSUM"], group: WIRE, since: SINCE,
    help: "Checksum that the server verifies on uploads; auto: the signed SHA-256 where payloads are signed, else crc32 where the server verifies it, else md5" },
  { name: "payload-signing", type: "enum", choices: ["auto", "signed", "unsigned"], default: "auto", env: ["OBJMOUNT_S3_PAYLOAD_SIGNING"], group: WIRE, since: SINCE,
    help: "Whether the signature covers the data: auto signs it over http and leaves it to TLS over https" },
  { name: "list-type", type: "enum", choices: ["auto", "2", "1"], default: "auto", env: ["OBJMOUNT_S3_LIST_TYPE"], group: WIRE, since: SINCE,
    help: "Version of the listing call; auto: 2, and 1 where the server refuses it" },
  { name: "equal-parts", type: "boolean", default: false, env: ["OBJMOUNT_S3_EQUAL_PARTS"], group: WIRE, since: SINCE,
    help: "Make all parts of an upload but the last equally long, for servers that insist on it (Cloudflare R2)" },
  { name: "connections", type: "number", unit: "connections", default: 64, env: ["OBJMOUNT_S3_CONNECTIONS"], group: WIRE, since: SINCE,
    help: "Connections to the server at the same time" },
  { name: "connect-timeout", type: "duration", default: 10_000, env: ["OBJMOUNT_S3_CONNECT_TIMEOUT"], group: WIRE, since: SINCE,
    help: "How long a connection may take to come about" },
  { name: "read-timeout", type: "duration", default: 30_000, env: ["OBJMOUNT_S3_READ_TIMEOUT"], group: WIRE, since: SINCE,
    help: "How long an answer may stall, before its headers or between two pieces of its body" },
];

// What real servers are known to do otherwise, each with its reason. Kept short: a row here is a fault of the server that
// objmount cannot mend.

import { fitsXml } from "../../src/backends/s3/parse.js";
import type { ObjectServiceContractOptions, ObjectStoreContractOptions } from "../contract/objectStore.js";

export interface Known {
  readonly refuses?: ObjectStoreContractOptions["refuses"];
  readonly cases?: ObjectStoreContractOptions["known"];
  readonly serviceCases?: ObjectServiceContractOptions["known"];
}

const FILES = "keeps objects as files: a key and keys below it cannot both be, and a key that ends in a slash has no data";

export const KNOWN: Readonly<Record<string, Known>> = {
  versitygw: {
    // A key is a path in a directory: components of at most 255 bytes, cleaned up before use; listings are not encoded.
    refuses: (key) => /(?:^|\/)(?:\.{1,2}(?:\/|$)|\/)|\/$/.test(key) || !fitsXml(key) || key.split("/").some((part) => Buffer.byteLength(part) > 255),
    cases: {
      "a name, the name with a slash and names below it are different objects": FILES,
      "a listing has every key once, with the facts of head": FILES,
      "prefixes cut anywhere, not at slashes only": FILES,
      "a delimiter rolls up, each common prefix once": FILES,
      "pages of every length make up the same listing": FILES,
      "listings are in UTF-8 byte order": FILES,
      "after starts strictly behind a key": FILES,
      "a listing follows every put and delete": FILES,
      "what is acknowledged is seen by everybody at once": "a put beside the delete of the folder's last object may be refused: the emptied folder is removed under it",
    },
  },
  rgw: {
    cases: {
      "the object is made of exactly the parts named": "radosgw 16 completes an upload of all its parts or refuses (InvalidPart)",
    },
    serviceCases: {
      "of many who create one container, one wins": "answers the second creation of one's own bucket with success, as Amazon does in us-east-1",
    },
  },
  swift: {
    cases: {
      "awkward keys are listed as they are": "a listing whose prefix ends in U+10FFFF fails inside (chr() arg not in range)",
    },
  },
};

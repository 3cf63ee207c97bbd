// The embedded store keeps the whole contract, with a second instance on the same directory.

import { objectServiceContract, objectStoreContract } from "../../contract/objectStore.js";
import { Place } from "./tools.js";

const place = await Place.make();
objectStoreContract({
  name: "file",
  open: () => place.store(),
  openSecond: () => place.store(),
  dispose: () => place.remove(),
});

const account = await Place.make();
objectServiceContract({
  name: "file",
  open: () => account.open(),
  openSecond: () => account.open(),
  dispose: () => account.remove(),
});

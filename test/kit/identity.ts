import { join } from "node:path"
import { createIdentity, type Identity } from "../../src/identity/identity-file.js"
import { temporaryDirectory } from "./temporary.js"

/** Makes an identity whose file is removed when the running test ends. */
export function newIdentity(): Identity {
  return createIdentity(join(temporaryDirectory(), "identity.json"))
}

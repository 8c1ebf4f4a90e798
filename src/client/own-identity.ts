import type { Identity } from "../identity/identity-file.js"
import { ChatError } from "../protocol/errors.js"

/** Who a client is: an identity, the file of one, or nobody in particular. */
export class OwnIdentity {
  readonly #source: string | Identity | undefined
  #current: Identity | undefined

  /** @param source - path of an identity file, or an identity */
  constructor(source: string | Identity | undefined) {
    this.#source = source
  }

  /** Whether the relay will know the client by a key. */
  get isPersistent(): boolean {
    return this.#source !== undefined
  }

  /** The identity for a new session; a file is read anew. @throws {ChatError} NOT_FOUND or BAD_IDENTITY */
  async load(): Promise<Identity | undefined> {
    const source = this.#source
    if (typeof source !== "string") this.#current = source
    else {
      const { readIdentity } = await import("../identity/identity-file.js")
      this.#current = readIdentity(source)
    }
    return this.#current
  }

  /** The identity of the session. @throws {ChatError} IDENTITY_REQUIRED without one; UNREACHABLE before the first session */
  require(): Identity {
    if (this.#current !== undefined) return this.#current
    if (this.isPersistent) throw new ChatError("UNREACHABLE", "client: not connected")
    throw new ChatError("IDENTITY_REQUIRED", "proposals: who has no key cannot sign", {
      hint: "make a key with: agentchat identity --generate, and name its file as identity",
    })
  }
}

import type { Connection } from "../../client/connection.js"
import { signedClaims } from "../../identity/claim-signature.js"
import type { ClaimEntry } from "../../protocol/claims.js"
import { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { DaemonPaths } from "../files/paths.js"
import { writeStateFile } from "../files/state-file.js"
import { readClaims } from "./claims-file.js"

type Session = Pick<Connection, "request" | "welcome">

/** Keeps a copy of the relay's claims in claims.json. Claims that their owner did not sign are left out. */
export class ClaimMirror {
  readonly #paths: Pick<DaemonPaths, "claims">
  readonly #onProblem: (problem: ChatError | undefined) => void
  #list: readonly ClaimEntry[]
  #session: Session | undefined
  /** Set while the file does not have the claims. */
  #isUnsaved = false

  constructor(paths: Pick<DaemonPaths, "claims">, onProblem: (problem: ChatError | undefined) => void) {
    this.#paths = paths
    this.#onProblem = onProblem
    this.#list = readClaims(paths).list
  }

  /** Asks for all claims, and for every later change. */
  async attach(session: Session): Promise<void> {
    this.#session = session
    try {
      const { list } = await session.request({ type: "LIST_CLAIMS", follow: true })
      if (this.#session === session) this.#set(signedClaims(list, session.welcome.server_id))
    } catch (error) {
      // A relay of an earlier version knows no claims; a session that ends is followed by another.
      if (!(error instanceof ChatError)) throw error
    }
  }

  detach(): void {
    this.#session = undefined
  }

  receive({ repo, list }: ServerMessage<"CLAIMS_CHANGED">): void {
    const session = this.#session
    if (session === undefined) return
    const others = this.#list.filter((claim) => claim.repo !== repo)
    const signed = signedClaims(list, session.welcome.server_id)
    this.#set([...others, ...signed.filter((claim) => claim.repo === repo)])
  }

  /** Writes what the disk refused before. */
  sweep(): void {
    if (this.#isUnsaved) this.#save()
  }

  #set(list: readonly ClaimEntry[]): void {
    if (list.length === 0 && this.#list.length === 0) return
    this.#list = list
    this.#save()
  }

  #save(): void {
    const self = this.#session?.welcome.agent_id
    const problem = writeStateFile(this.#paths.claims, { self, list: this.#list })
    this.#isUnsaved = problem !== undefined
    this.#onProblem(problem)
  }
}

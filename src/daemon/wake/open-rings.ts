import { mkdirSync, rmSync } from "node:fs"
import { watchDirectory } from "../files/file-tail.js"
import type { DaemonPaths } from "../files/paths.js"
import { type Echo, newNonce, takeEchoes, writeStanding } from "./echo.js"

/** A ring whose echo may still come. */
export interface Ring {
  readonly nonce: string
  readonly method: string
  /** When the session was rung, milliseconds since the Unix epoch. */
  readonly ts: number
  /** Numbers of the lines it was about. */
  readonly seqs: readonly number[]
}

/** An echo with its ring, or with `wait` if a `wait` wrote it. */
export interface EchoedRing extends Omit<Echo, "nonce"> {
  readonly ring: Ring | "wait"
}

/** Rings whose echoes are accepted: the outstanding one, and some whose messages were read before the echo came. */
const maxRings = 8

/** The rings that are open, and their directory of echoes, which exists while there is one. */
export class OpenRings {
  readonly #paths: Pick<DaemonPaths, "echoes">
  readonly #onActivity: () => void
  readonly #rings = new Map<string, Ring>()
  /** The number that a `wait` returns. */
  #standing: string | undefined
  #unwatch: (() => void) | undefined

  /** @param onActivity - called when an echo may have come */
  constructor(paths: Pick<DaemonPaths, "echoes">, onActivity: () => void) {
    this.#paths = paths
    this.#onActivity = onActivity
  }

  get isEmpty(): boolean {
    return this.#rings.size === 0 && this.#standing === undefined
  }

  /** Opens a ring, before the session is rung. Throws the system's errors. */
  open(ring: Omit<Ring, "nonce">): Ring {
    this.#prepare()
    const opened = { ...ring, nonce: newNonce() }
    this.#rings.set(opened.nonce, opened)
    const [oldest] = this.#rings.keys()
    if (this.#rings.size > maxRings && oldest !== undefined) this.#rings.delete(oldest)
    return opened
  }

  /** Closes a ring: no echo of it counts any more. */
  close({ nonce }: Ring): void {
    this.#rings.delete(nonce)
    this.#tidy()
  }

  /** Begins or ends to accept the echo of a `wait`. Throws the system's errors. */
  setStanding(isWanted: boolean): void {
    if (isWanted === (this.#standing !== undefined)) return
    if (isWanted) {
      this.#prepare()
      this.#standing = newNonce()
      writeStanding(this.#paths, this.#standing)
    } else {
      this.#standing = undefined
      this.#tidy()
    }
  }

  /** Takes the echoes that came: each with its ring, or with `wait` for that of a `wait`. Throws the system's errors. */
  take(): EchoedRing[] {
    if (this.isEmpty) return []
    return takeEchoes(this.#paths).flatMap(({ nonce, ts }): EchoedRing[] => {
      const ring = this.#rings.get(nonce)
      if (ring !== undefined) {
        this.close(ring)
        return [{ ring, ts }]
      }
      if (nonce !== this.#standing) return []
      // Each number proves one thing.
      this.#standing = newNonce()
      writeStanding(this.#paths, this.#standing)
      return [{ ring: "wait", ts }]
    })
  }

  /** Closes all rings. */
  end(): void {
    this.#rings.clear()
    this.#standing = undefined
    this.#tidy()
  }

  #prepare(): void {
    if (this.#unwatch !== undefined) return
    // A file that an earlier process left behind proves nothing.
    rmSync(this.#paths.echoes, { recursive: true, force: true })
    mkdirSync(this.#paths.echoes, { mode: 0o700 })
    this.#unwatch = watchDirectory(this.#paths.echoes, () => this.#onActivity())
  }

  #tidy(): void {
    if (!this.isEmpty || this.#unwatch === undefined) return
    this.#unwatch()
    this.#unwatch = undefined
    rmSync(this.#paths.echoes, { recursive: true, force: true })
  }
}

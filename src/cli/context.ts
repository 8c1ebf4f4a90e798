import type { Readable, Writable } from "node:stream"
import type { Clock } from "../base/clock.js"
import type { CommandOutline } from "./completion/outline.js"
import type { Config } from "./config.js"

/** The three streams of the process. Data goes to `out`, everything said about it to `talk`. */
export interface Io {
  /** Writes one line of data to standard output. Text of other agents must have been neutralised. */
  out(line: string): void
  /** Writes one JSON document in a line; nothing in it can trick a terminal. */
  json(value: unknown): void
  /** Says one line on standard error, after `agentchat: `; neutralised here. */
  talk(line: string): void
  /** Resolves when everything written to standard output is with its reader, or at least out of our hands. */
  flush(): Promise<void>
  readonly input: Readable
  readonly output: Writable
  /** Whether a person reads standard output. */
  readonly isOutputTerminal: boolean
  /** Columns of the terminal that shows standard output; undefined when none does. */
  readonly columns: number | undefined
  /** Whether a person writes standard input. */
  readonly isInputTerminal: boolean
  /** Whether standard output is to be coloured (FORCE_COLOR, NO_COLOR, TERM, terminal). */
  readonly hasColor: boolean
}

/** What a command may know and do of the process it runs in. */
export interface System {
  readonly pid: number
  readonly uid: number
  /** The Node program, to start another one. */
  readonly nodePath: string
  /** The file Node was started with. */
  readonly scriptPath: string
  /** Where sockets may stand: `$XDG_RUNTIME_DIR`, or the directory for temporary files. */
  readonly runtimeDir: string
  /** `PATH`, to find out how the user can call us. */
  readonly searchPath: string
  readonly cwd: string
  readonly random: () => number
  kill(pid: number, signal: NodeJS.Signals): void
  /**
   * From the first call on, SIGINT and SIGTERM abort the returned signal (`reason` is their name) instead of
   * ending the process; a second one ends it.
   */
  interruption(): AbortSignal
}

/** Everything a command is given. */
export interface Context {
  readonly io: Io
  readonly clock: Clock
  readonly config: Config
  readonly system: System
  /** All commands with all their flags. Loads every command. */
  readonly outline: () => Promise<readonly CommandOutline[]>
}

/** Exit status of a program that a signal ended. */
export function interruptedStatus(signal: AbortSignal): number {
  return signal.reason === "SIGTERM" ? 143 : 130
}

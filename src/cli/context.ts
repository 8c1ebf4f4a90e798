import type { Readable, Writable } from "node:stream"
import type { Clock } from "../base/clock.js"
import type { ContextDoor } from "../daemon/inbox/reader-cursor.js"
import type { CommandOutline } from "./completion/outline.js"
import type { Config, Environment } from "./config.js"

/** The standard streams of the process. */
export interface Io {
  /** Writes one line of data to standard output. The caller must escape text of other agents. */
  out(line: string): void
  /** Writes a value to standard output as one line of JSON, with control characters escaped. */
  json(value: unknown): void
  /** Writes a message to standard error after `agentchat: `, with control characters escaped. */
  err(line: string): void
  /** Like {@link err}, for a remark on a success; the program omits it with `--quiet`. */
  note(line: string): void
  /** Lets the command go on when standard output fails. Otherwise it ends, because its output is its purpose. */
  outliveOutput(): void
  /** Resolves once everything written to standard output has been handed to the operating system. */
  flush(): Promise<void>
  readonly input: Readable
  readonly output: Writable
  /** True if standard output is a terminal. */
  readonly isOutputTerminal: boolean
  /** Width of the terminal on standard output, in columns; undefined if standard output is no terminal. */
  readonly columns: number | undefined
  /** True if standard input is a terminal. */
  readonly isInputTerminal: boolean
  /** True to color standard output (FORCE_COLOR, NO_COLOR, TERM, terminal). */
  readonly hasColor: boolean
}

/** The process a command runs in. */
export interface System {
  readonly version: string
  readonly pid: number
  /** The process that started this one; another one once that has ended. */
  readonly parentPid: () => number
  readonly uid: number
  readonly nodePath: string
  /** Version of Node, such as `v22.4.0`. */
  readonly nodeVersion: string
  /** Path of the script that Node runs. */
  readonly scriptPath: string
  /** Directories for sockets, the preferred one first; undefined for a variable that is not set. */
  readonly runtimeDirs: readonly (string | undefined)[]
  /** `PATH`, used to print how to call this program. */
  readonly searchPath: string
  readonly cwd: string
  readonly random: () => number
  kill(pid: number, signal: NodeJS.Signals): void
  /**
   * Handles SIGINT, SIGTERM and SIGHUP from the first call on: the first one aborts the returned signal, with its name
   * as `reason`; a second one ends the process. SIGHUP counts only if the terminal is gone, because Node undoes what
   * `nohup` did.
   */
  interruption(): AbortSignal
  /** Calls `handler` at each SIGHUP. */
  onHangup(handler: () => void): void
  /** Passes errors that nobody caught to `handler` instead of ending the process. */
  onUncaught(handler: (error: unknown) => void): void
}

/** The environment of a running command. */
export interface Context {
  readonly io: Io
  readonly clock: Clock
  readonly config: Config
  /** Variables of other programs, such as `HOME`; those of this program are merged into `config`. */
  readonly env: Environment
  readonly system: System
  /** The program that puts the lines of a command into the context of a model, if there is one. */
  readonly contextDoor?: ContextDoor
  /** Lists all commands with their options. Loads every command. */
  readonly outline: () => Promise<readonly CommandOutline[]>
}

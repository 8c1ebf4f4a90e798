import { formatForTerminal, formatJsonLine } from "./visible-text.js"

/** How much a line of a log matters. */
export const logLevels = ["error", "warn", "info"] as const
/** One of {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number]

/** Takes one line without its newline. */
export type Log = (line: string, level?: LogLevel) => void

/** Reports whether lines of a level are written where `least` is asked for. */
export function isLogged(level: LogLevel, least: LogLevel): boolean {
  return logLevels.indexOf(level) <= logLevels.indexOf(least)
}

/** The forms of a log: a line of text, or a JSON object with `ts`, `level` and `msg`. */
export const logFormats = ["text", "json"] as const

/** How a log is written. */
export interface LogStyle {
  /** Text by default. */
  readonly format?: (typeof logFormats)[number] | undefined
  /** The least level that is written; all by default. */
  readonly level?: LogLevel | undefined
}

/** Formats a line of a log without its newline. Text of other agents is escaped. @param nowMs - since the Unix epoch */
export function formatLogLine(nowMs: number, text: string, level: LogLevel, { format }: LogStyle): string {
  const time = new Date(nowMs).toISOString()
  return format === "json"
    ? formatJsonLine({ ts: time, level, msg: text.toWellFormed() })
    : `${time} ${formatForTerminal(text)}`
}

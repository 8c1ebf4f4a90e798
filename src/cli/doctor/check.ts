/** `bad` keeps something from working, `warn` may; `off` says that something is not used here. */
export type Level = "ok" | "warn" | "bad" | "off"

/** One line of the report. */
export interface Check {
  readonly level: Level
  /** The subject, in one word. */
  readonly what: string
  readonly text: string
  /** The remedy, if possible as a command. */
  readonly fix?: string
}

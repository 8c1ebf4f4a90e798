/** What completion can offer for a value. */
export type Offer = "file" | "directory" | "daemon" | "nothing" | readonly string[]

/** A command as completion sees it. */
export interface CommandOutline {
  readonly name: string
  readonly summary: string
  readonly options: readonly OptionOutline[]
  /** What may stand as its first argument. */
  readonly argument: Offer
}

/** A flag as completion sees it. */
export interface OptionOutline {
  /** Without its dashes. */
  readonly flag: string
  readonly summary: string
  /** What may follow; undefined when nothing does. */
  readonly offer: Offer | undefined
}

/** Shell that prints the names of this directory's daemons, one per line. */
export const listDaemonsShell = '(cd "${AGENTCHAT_HOME:-.agentchat}/daemons" 2>/dev/null && ls)'

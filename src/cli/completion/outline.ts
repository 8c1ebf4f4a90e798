/** The suggestions for a value: files, directories, names of daemons, none, or a list of words. */
export type Completion = "file" | "directory" | "daemon" | "nothing" | readonly string[]

/** A command as a completion script needs it. */
export interface CommandOutline {
  readonly name: string
  readonly summary: string
  readonly options: readonly OptionOutline[]
  /** Suggestions for the first argument. */
  readonly argument: Completion
}

/** An option as a completion script needs it. */
export interface OptionOutline {
  /** Name without dashes. */
  readonly flag: string
  readonly summary: string
  /** Suggestions for its value; undefined if it takes none. */
  readonly completion: Completion | undefined
}

/** Completes the commands that hints suggest, so that they mean the daemon and the files of the command at hand. */

/** Options of the command line at hand, or of the daemon that writes the hint. */
export interface HintOptions {
  readonly name?: string | undefined
  readonly identity?: string | undefined
  readonly home?: string | undefined
}

/** Commands that take `--name` for a daemon, and those that take `--identity`; the rest take neither. */
export const hintedOptions = {
  name: words(
    "daemon send ask reply inbox wait watch whoami mcp task propose accept reject complete dispute proposals receipts ratings",
    "status guard claim release claims presence pending channels agents create join leave invite identity",
    "kick ban mute history audit mint grants wake webhooks log",
  ),
  identity: words(
    "daemon send ask task propose accept reject complete dispute proposals receipts ratings listen connect",
    "guard pending channels agents create invite identity kick ban mute history audit mint grants log web",
  ),
} as const

/**
 * Adds `--name`, `--identity` and `--home` to each command in a hint that takes them and does not have them. A command
 * begins with `agentchat` and ends at a comma, a semicolon, a bracket or the end of the hint.
 */
export function completeHint(hint: string, options: HintOptions): string {
  return hint.replaceAll(/\bagentchat ([a-z]+)[^,;()`\n]*/g, (text, command: string) => {
    const named = /--(?:name|identity|list)\b/.test(text)
    const missing = Object.entries(options).filter(([option, value]) => {
      if (value === undefined || text.includes(`--${option}`)) return false
      if (option === "home") return true
      return !named && hintedOptions[option as "name" | "identity"].has(command)
    })
    const added = missing.map(([option, value]) => ` --${option} ${shellWord(String(value))}`)
    return text.trimEnd() + added.join("") + text.slice(text.trimEnd().length)
  })
}

/** Quotes a text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

function words(...lines: string[]): ReadonlySet<string> {
  return new Set(lines.join(" ").split(" "))
}

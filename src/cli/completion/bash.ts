import { type CommandOutline, listDaemonsShell, type Offer, type OptionOutline } from "./outline.js"

/** A completion script for bash 3.2 and newer. */
export function bashScript(commands: readonly CommandOutline[]): string {
  const names = commands.map(({ name }) => name).join(" ")
  return [
    "# agentchat completion for bash",
    "_agentchat() {",
    '  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" command="" words="" i',
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    '    case "${COMP_WORDS[i]}" in',
    "      --home) ((i++)) ;;",
    "      -*) ;;",
    '      *) command="${COMP_WORDS[i]}"; break ;;',
    "    esac",
    "  done",
    "  COMPREPLY=()",
    '  case "$command $previous" in',
    ...commands.flatMap(({ name, options }) => options.flatMap((option) => valueCase(name, option))),
    '    *" --home") words=; COMPREPLY=($(compgen -d -- "$current")); return ;;',
    "  esac",
    '  case "$command" in',
    `    "") words="${names} help --json --home --help --version" ;;`,
    `    help) words="${names}" ;;`,
    ...commands.map(wordsCase),
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    "complete -o filenames -F _agentchat agentchat",
  ].join("\n")
}

function wordsCase({ name, options, argument }: CommandOutline): string {
  const flags = options.map(({ flag }) => `--${flag}`)
  const words = typeof argument === "string" ? flags : [...argument, ...flags]
  return `    ${name}) words="${words.join(" ")}" ;;`
}

function valueCase(name: string, { flag, offer }: OptionOutline): string[] {
  if (offer === undefined || flag === "home") return []
  return [`    "${name} --${flag}") ${replyOf(offer)}return ;;`]
}

function replyOf(offer: Offer): string {
  const reply = (generate: string) => `COMPREPLY=($(compgen ${generate} -- "$current")); `
  if (offer === "file") return reply("-f")
  if (offer === "directory") return reply("-d")
  if (offer === "daemon") return reply(`-W "$${listDaemonsShell}"`)
  return offer === "nothing" ? "" : reply(`-W "${offer.join(" ")}"`)
}

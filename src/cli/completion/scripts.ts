/** Completion scripts for bash, zsh and fish. */
import type { CommandOutline, Completion, OptionOutline } from "./outline.js"

/**
 * Shell code that prints the names of the daemons of this directory, one per line. Looks for `.agentchat` in the
 * directories above it, too.
 */
const listDaemonsShell =
  '(while [ ! -d "${AGENTCHAT_HOME:-.agentchat}" ] && [ "$PWD" != / ]; do cd ..; done; cd "${AGENTCHAT_HOME:-.agentchat}/daemons" 2>/dev/null && ls)'

/** Returns a completion script for bash 3.2 and newer. */
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
    ...commands.flatMap(({ name, options }) => options.flatMap((option) => bashValueCase(name, option))),
    '    *" --home") words=; COMPREPLY=($(compgen -d -- "$current")); return ;;',
    "  esac",
    '  case "$command" in',
    `    "") words="${names} help --json --home --help --version" ;;`,
    `    help) words="${names}" ;;`,
    ...commands.map(bashWordsCase),
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    "complete -o filenames -F _agentchat agentchat",
  ].join("\n")
}

function bashWordsCase({ name, options, argument }: CommandOutline): string {
  const flags = options.map(({ flag }) => `--${flag}`)
  const words = typeof argument === "string" ? flags : [...argument, ...flags]
  return `    ${name}) words="${words.join(" ")}" ;;`
}

function bashValueCase(name: string, { flag, completion }: OptionOutline): string[] {
  if (completion === undefined || flag === "home") return []
  return [`    "${name} --${flag}") ${bashReply(completion)}return ;;`]
}

function bashReply(completion: Completion): string {
  const reply = (generate: string) => `COMPREPLY=($(compgen ${generate} -- "$current")); `
  if (completion === "file") return reply("-f")
  if (completion === "directory") return reply("-d")
  if (completion === "daemon") return reply(`-W "$${listDaemonsShell}"`)
  return completion === "nothing" ? "" : reply(`-W "${completion.join(" ")}"`)
}

/** Returns a completion script for fish 3 and newer. */
export function fishScript(commands: readonly CommandOutline[]): string {
  const names = commands.map(({ name }) => name).join(" ")
  return [
    "# agentchat completion for fish",
    "complete -c agentchat -f",
    "complete -c agentchat -n __fish_use_subcommand -l version -s V -d 'print the version'",
    "complete -c agentchat -n __fish_use_subcommand -a help -d 'explain a command'",
    `complete -c agentchat -n '__fish_seen_subcommand_from help' -a ${quoteFish(names)}`,
    ...commands.map(
      ({ name, summary }) =>
        `complete -c agentchat -n __fish_use_subcommand -a ${name} -d ${quoteFish(summary)}`,
    ),
    ...commands.flatMap(({ name, options, argument }) => [
      ...options.map((option) => fishOption(name, option)),
      ...(typeof argument === "string" ? [] : [`${fishCondition(name)} -a ${quoteFish(argument.join(" "))}`]),
    ]),
  ].join("\n")
}

function fishOption(name: string, { flag, summary, completion }: OptionOutline): string {
  const value = completion === undefined ? "" : `${fishValue(completion)} `
  return `${fishCondition(name)} -l ${flag} ${value}-d ${quoteFish(summary)}`
}

function fishCondition(name: string): string {
  return `complete -c agentchat -n '__fish_seen_subcommand_from ${name}'`
}

function fishValue(completion: Completion): string {
  if (completion === "file") return "-r -F"
  if (completion === "directory") return "-x -a '(__fish_complete_directories)'"
  if (completion === "daemon") return `-x -a ${quoteFish(`(sh -c '${listDaemonsShell}')`)}`
  return completion === "nothing" ? "-x" : `-x -a ${quoteFish(completion.join(" "))}`
}

/** In fish's single quotes only the quote and the backslash are special. */
function quoteFish(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`
}

/** Returns a completion script for zsh. It can be sourced, or installed as `_agentchat` in `$fpath`. */
export function zshScript(commands: readonly CommandOutline[]): string {
  return [
    "#compdef agentchat",
    "# agentchat completion for zsh",
    "_agentchat_daemons() {",
    "  local -a names",
    `  names=(\${(f)"$${listDaemonsShell}"})`,
    "  compadd -a names",
    "}",
    "_agentchat() {",
    "  local state",
    "  local -a commands",
    "  commands=(",
    ...commands.map(({ name, summary }) => `    ${quotePosix(`${name}:${summary}`)}`),
    "    'help:explain a command'",
    "  )",
    "  _arguments -C '--json[print JSON]' '--home[use another directory]:directory:_files -/' \\",
    "    '(-h --help)'{-h,--help}'[print the help]' '(-V --version)'{-V,--version}'[print the version]' \\",
    "    '1: :->command' '*:: :->rest'",
    '  case "$state" in',
    "    command) _describe command commands ;;",
    "    rest)",
    '      case "$words[1]" in',
    "        help) _describe command commands ;;",
    ...commands.map(zshCommandCase),
    "      esac ;;",
    "  esac",
    "}",
    'if [ "$funcstack[1]" = "_agentchat" ]; then _agentchat "$@"; else compdef _agentchat agentchat; fi',
  ].join("\n")
}

function zshCommandCase({ name, options, argument }: CommandOutline): string {
  const specs = options.map(zshOption)
  if (typeof argument !== "string") specs.push(quotePosix(`1:argument:(${argument.join(" ")})`))
  // An empty list, because with a message zsh completes nothing at the first Tab.
  else specs.push("'*:argument:()'")
  return `        ${name}) _arguments ${specs.join(" ")} ;;`
}

function zshOption({ flag, summary, completion }: OptionOutline): string {
  const text = summary.replace(/[[\]:\\]/g, "\\$&")
  return quotePosix(
    `--${flag}[${text}]${completion === undefined ? "" : `:${flag}:${zshAction(completion)}`}`,
  )
}

function zshAction(completion: Completion): string {
  if (completion === "file") return "_files"
  if (completion === "directory") return "_files -/"
  if (completion === "daemon") return "_agentchat_daemons"
  return completion === "nothing" ? " " : `(${completion.join(" ")})`
}

function quotePosix(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

import { type CommandOutline, listDaemonsShell, type Offer, type OptionOutline } from "./outline.js"

/** A completion script for zsh; works sourced and as a file `_agentchat` in `$fpath`. */
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
    ...commands.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`),
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
    ...commands.map(restCase),
    "      esac ;;",
    "  esac",
    "}",
    'if [ "$funcstack[1]" = "_agentchat" ]; then _agentchat "$@"; else compdef _agentchat agentchat; fi',
  ].join("\n")
}

function restCase({ name, options, argument }: CommandOutline): string {
  const specs = options.map(optionSpec)
  if (typeof argument !== "string") specs.push(quote(`1:argument:(${argument.join(" ")})`))
  // An empty list, not a message: with a message to show, zsh completes nothing at the first Tab.
  else specs.push("'*:argument:()'")
  return `        ${name}) _arguments ${specs.join(" ")} ;;`
}

function optionSpec({ flag, summary, offer }: OptionOutline): string {
  const text = summary.replace(/[[\]:\\]/g, "\\$&")
  return quote(`--${flag}[${text}]${offer === undefined ? "" : `:${flag}:${actionOf(offer)}`}`)
}

function actionOf(offer: Offer): string {
  if (offer === "file") return "_files"
  if (offer === "directory") return "_files -/"
  if (offer === "daemon") return "_agentchat_daemons"
  return offer === "nothing" ? " " : `(${offer.join(" ")})`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

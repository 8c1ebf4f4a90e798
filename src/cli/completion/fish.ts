import { type CommandOutline, listDaemonsShell, type Offer, type OptionOutline } from "./outline.js"

/** A completion script for fish 3 and newer. */
export function fishScript(commands: readonly CommandOutline[]): string {
  const names = commands.map(({ name }) => name).join(" ")
  return [
    "# agentchat completion for fish",
    "complete -c agentchat -f",
    "complete -c agentchat -n __fish_use_subcommand -l version -s V -d 'print the version'",
    "complete -c agentchat -n __fish_use_subcommand -a help -d 'explain a command'",
    `complete -c agentchat -n '__fish_seen_subcommand_from help' -a ${quote(names)}`,
    ...commands.map(
      ({ name, summary }) => `complete -c agentchat -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
    ),
    ...commands.flatMap(({ name, options, argument }) => [
      ...options.map((option) => optionLine(name, option)),
      ...(typeof argument === "string" ? [] : [`${condition(name)} -a ${quote(argument.join(" "))}`]),
    ]),
  ].join("\n")
}

function optionLine(name: string, { flag, summary, offer }: OptionOutline): string {
  return `${condition(name)} -l ${flag} ${offer === undefined ? "" : `${valueOf(offer)} `}-d ${quote(summary)}`
}

function condition(name: string): string {
  return `complete -c agentchat -n '__fish_seen_subcommand_from ${name}'`
}

function valueOf(offer: Offer): string {
  if (offer === "file") return "-r -F"
  if (offer === "directory") return "-x -a '(__fish_complete_directories)'"
  if (offer === "daemon") return `-x -a ${quote(`(sh -c '${listDaemonsShell}')`)}`
  return offer === "nothing" ? "-x" : `-x -a ${quote(offer.join(" "))}`
}

/** In fish's single quotes only the quote and the backslash are special. */
function quote(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`
}

import type { Command } from "./command.js"
import { commandNames, commandTable } from "./command-table.js"
import type { CommandOutline, OptionOutline } from "./completion/outline.js"

/** Flags of every command; the parser has their other form. */
const everywhere: readonly OptionOutline[] = [
  { flag: "json", summary: "print one JSON document instead of text", offer: undefined },
  { flag: "home", summary: "use DIR instead of ./.agentchat", offer: "directory" },
  { flag: "help", summary: "print the help", offer: undefined },
]

/** All commands with all their flags. Loads every command's module. */
export function outlineCommands(): Promise<CommandOutline[]> {
  return Promise.all(
    commandNames.map(async (name) => {
      const { load, summary } = commandTable[name]
      const command: Command = await load()
      const own = Object.entries(command.options).map(([flag, option]) => ({
        flag,
        summary: option.summary,
        offer: option.kind === "flag" || option.kind === "flagOr" ? undefined : option.offer,
      }))
      const [first] = Object.values(command.args)
      return { name, summary, options: [...own, ...everywhere], argument: first?.offer ?? "nothing" }
    }),
  )
}

// Makes man pages from the command table, so that they say what `agentchat help` says: dist/man/agentchat.1.
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

/**
 * @typedef {{ flags: string, summary: string }} Flag
 * @typedef {{ name: string, group: string, summary: string }} Row
 * @typedef {{ name: string, summary: string, usage: string, arguments: { name: string, summary: string }[], options: Flag[], notes: string, examples: string[] }} Command
 */

const globalFlags = new Set(["--json", "-q, --quiet", "--home <DIR>"])

/**
 * Writes the page into a built program.
 * @param {string} dist
 * @param {string} version
 */
export async function writeManPage(dist, version) {
  const parser = pathToFileURL(join(dist, "src", "cli", "parser.js")).href
  const { parseCommandLine } =
    /** @type {{ parseCommandLine: (words: string[], columns: () => undefined) => Promise<{ document: unknown }> }} */ (
      await import(parser)
    )
  const helpOn = async (/** @type {string[]} */ words) =>
    (await parseCommandLine(words, () => undefined)).document
  const list = /** @type {{ commands: Row[] }} */ (await helpOn([]))
  const commands = /** @type {Command[]} */ (
    await Promise.all(list.commands.map(({ name }) => helpOn([name, "--help"])))
  )
  mkdirSync(join(dist, "man"), { recursive: true })
  writeFileSync(join(dist, "man", "agentchat.1"), manPage(list.commands, commands, version))
}

/**
 * @param {readonly Row[]} rows
 * @param {readonly Command[]} commands
 * @param {string} version
 */
export function manPage(rows, commands, version) {
  const groups = new Map(rows.map(({ name, group }) => [name, group]))
  let group = ""
  const sections = commands.flatMap((command) => {
    const heading = groups.get(command.name) ?? ""
    const isNew = heading !== group
    group = heading
    return [...(isNew ? [`.SH ${escape(heading.toUpperCase())}`] : []), ...sectionOf(command)]
  })
  const shared = commands[0]?.options.filter(({ flags }) => globalFlags.has(flags)) ?? []
  return [
    `.TH AGENTCHAT 1 "" "agentchat ${version}"`,
    ".SH NAME",
    "agentchat \\- messaging for AI agents over plain files",
    ".SH SYNOPSIS",
    "\\fBagentchat\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]",
    ".SH OPTIONS OF ALL COMMANDS",
    ...shared.flatMap(flagOf),
    ...sections,
    ".SH EXIT STATUS",
    "0 for success, 2 for a mistake in the command line; the error names the rest. See doc/cli.md of the package.",
    "",
  ].join("\n")
}

/** @param {Command} command */
function sectionOf({ name, summary, usage, arguments: positionals, options, notes, examples }) {
  const own = options.filter(({ flags }) => !globalFlags.has(flags))
  return [
    `.SS ${escape(name)}`,
    `\\fB${escape(usage)}\\fR`,
    ".PP",
    escape(`${summary}. ${notes}`.trim()),
    ...positionals.flatMap((positional) =>
      flagOf({ flags: positional.name.toUpperCase(), summary: positional.summary }),
    ),
    ...own.flatMap(flagOf),
    ".PP",
    ".nf",
    ...examples.map(escape),
    ".fi",
  ]
}

/** @param {Flag} flag */
function flagOf({ flags, summary }) {
  return [".TP", `\\fB${escape(flags)}\\fR`, escape(summary)]
}

/** Escapes a text for roff: a line must not begin with a request, and a hyphen stays one. @param {string} text */
function escape(text) {
  const plain = text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("\n", " ")
  return /^[.']/.test(plain) ? `\\&${plain}` : plain
}

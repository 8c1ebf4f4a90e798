import { resolve } from "node:path"
import { rootPaths } from "../../daemon/files/paths.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, optional, repeated, required, value } from "../command.js"
import type { Context } from "../context.js"
import type { ReadableFile } from "../input/file-lines.js"
import { closeChoice, instanceName, someText } from "../input/values.js"
import { shownPath } from "../output/shown-path.js"
import { addKeysFile, KeyRing } from "../receipts/key-statements.js"
import { type Collected, collectReceipts, hasReceipts } from "../receipts/receipt-collection.js"
import { type ExportFormat, exportFormats } from "../receipts/receipt-export.js"
import { isNamed, ownIdentityFile, ownIds } from "../relay/own-identity.js"

const actions = ["list", "summary", "export", "verify"] as const
type Action = (typeof actions)[number]

export const receipts = defineCommand({
  args: {
    action: required(actions.join(", "), closeChoice(actions), actions),
    file: optional(
      "receipts, one per line; - is standard input; those of the home unless given",
      someText,
      "file",
    ),
  },
  options: {
    format: value(
      "FORM",
      `export: ${exportFormats.join(", ")}; json unless given`,
      closeChoice(exportFormats),
      exportFormats,
    ),
    keys: repeated("FILE", "heed the rotations and revocations in FILE; see identity --export", someText),
    name: value("NAME", "only deals of the daemon NAME", instanceName, "daemon"),
    identity: value("FILE", "only deals of the identity in FILE; it signs in-toto", someText, "file"),
  },
  takesUrl: false,
  examples: [
    "agentchat receipts summary",
    "agentchat receipts verify ./.agentchat/receipts.jsonl",
    "agentchat receipts export --format yaml > receipts.yaml",
    "cat *.jsonl | agentchat receipts verify - --keys bob.public.json",
  ],
  notes: [
    "verify needs no relay and no network. It ends with 0 when all is valid, 1 when something is not, 2 when it",
    "cannot decide: nothing in it, no receipt, an unknown version. Of several receipts of a deal list, summary and",
    "export take the longest valid one.",
  ],
  async run(context, { args: { action, file }, options }) {
    refuseElsewhere(action, options, context.config.json)
    const keys = new KeyRing()
    for (const path of options.keys ?? []) addKeysFile(keys, resolve(context.system.cwd, path))
    const choice = { ...options, keys, file }
    if (file !== "-") return await act(context, action, { ...choice, source: pathOf(context, file) })
    const { withInputFile } = await import("../receipts/receipt-source.js")
    return withInputFile(context.io.input, (source) => act(context, action, { ...choice, source }))
  },
})

interface Choice {
  readonly file: string | undefined
  /** Where they are read from. */
  readonly source: ReadableFile
  readonly keys: KeyRing
  readonly format: ExportFormat | undefined
  readonly name: InstanceName | undefined
  readonly identity: string | undefined
}

function refuseElsewhere(
  action: Action,
  options: Omit<Choice, "file" | "source" | "keys">,
  json: boolean,
): void {
  if (options.format !== undefined && action !== "export")
    throw new ChatError("USAGE", "--format: only with export")
  if (options.format === "yaml" && json)
    throw new ChatError("USAGE", "--format: yaml is not JSON; leave out --json")
  if (action === "verify" && isNamed(options)) {
    throw new ChatError(
      "USAGE",
      `--${options.name === undefined ? "identity" : "name"}: verify checks every receipt`,
      {
        hint: "leave it out",
      },
    )
  }
}

function pathOf({ config, system }: Context, file: string | undefined): string {
  return file === undefined ? rootPaths(config.home).receipts : resolve(system.cwd, file)
}

async function act(context: Context, action: Action, choice: Choice): Promise<number> {
  if (action === "verify") {
    const { verifyReceipts } = await import("../receipts/receipt-verify.js")
    return verifyReceipts(context, choice.source, choice.keys)
  }
  const own = await ownIds(context.config, choice)
  const isOwn = ({ facts }: Pick<Collected, "facts">) => own.has(facts.from) || own.has(facts.to)
  const wants = (facts: Collected["facts"]) => !isNamed(choice) || isOwn({ facts })
  const isNew = choice.file === undefined && !hasReceipts(context.config)
  const collected = isNew
    ? []
    : await collectReceipts(context, choice.source, {
        keys: choice.keys,
        wants,
        label: labelOf(context, choice),
      })
  if (isNew) context.io.talk("there are no receipts yet")
  switch (action) {
    case "list":
      return list(context, collected)
    case "summary":
      return summary(context, collected, own)
    case "export":
      return exportAll(context, collected, choice)
  }
}

function labelOf({ config }: Context, { file }: Choice): string {
  if (file === undefined) return shownPath(config, rootPaths(config.home).receipts)
  return file === "-" ? "standard input" : file
}

async function list({ io, config }: Context, collected: readonly Collected[]): Promise<number> {
  if (config.json) {
    io.json({ ok: true, list: collected.map(({ facts }) => facts) })
    return 0
  }
  const { formatReceiptTable } = await import("../receipts/receipt-table.js")
  for (const line of formatReceiptTable(
    collected.map(({ facts }) => facts),
    io.columns,
  ))
    io.out(line)
  return 0
}

async function summary(
  { io, config }: Context,
  collected: readonly Collected[],
  own: Awaited<ReturnType<typeof ownIds>>,
): Promise<number> {
  const { formatSummary, summarize } = await import("../receipts/receipt-summary.js")
  const summed = summarize(
    collected.map(({ facts }) => facts),
    own,
  )
  if (config.json) io.json({ ok: true, ...summed })
  else for (const line of formatSummary(summed)) io.out(line)
  return 0
}

async function exportAll(context: Context, collected: readonly Collected[], choice: Choice): Promise<number> {
  const { exportReceipts } = await import("../receipts/receipt-export.js")
  const all = collected.map(({ receipt }) => receipt)
  const { format = "json" } = choice
  if (format !== "in-toto") await exportReceipts(context, all, { format })
  else await exportReceipts(context, all, { format, signer: await readSigner(context, choice) })
  return 0
}

/** @throws {ChatError} IDENTITY_REQUIRED when there is no file to sign with */
async function readSigner({ config }: Context, choice: Choice) {
  const path = ownIdentityFile(config, choice)
  const { readIdentity } = await import("../../identity/identity-file.js")
  try {
    return readIdentity(path)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "NOT_FOUND" || isNamed(choice)) throw error
    throw new ChatError(
      "IDENTITY_REQUIRED",
      `--format in-toto: signs with an identity, and ${path} is none`,
      {
        hint: "make one: agentchat identity --generate, or name one: --identity FILE, --name NAME",
      },
    )
  }
}

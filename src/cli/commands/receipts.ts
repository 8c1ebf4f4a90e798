import { resolve } from "node:path"
import { openHome } from "../../daemon/files/home.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { defineCommand, optional, repeated, required, value } from "../command.js"
import { shownPath } from "../config.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import type { ReadableFile } from "../input/file-lines.js"
import { closeChoice, instanceName, someText } from "../input/values.js"
import { addKeysFile, KeyRing } from "../receipts/key-statements.js"
import { type ExportFormat, exportFormats } from "../receipts/receipt-export.js"
import {
  type Collected,
  collectReceipts,
  formatReceiptTable,
  formatSummary,
  hasReceipts,
  summarize,
} from "../receipts/receipt-facts.js"
import { isNamed, ownIdentityFile, ownIds } from "../relay/own-identity.js"

const actions = ["list", "summary", "export", "verify"] as const
type Action = (typeof actions)[number]

export const receipts = defineCommand({
  args: {
    action: required(actions.join(", "), closeChoice(actions), actions),
    file: optional("file of receipts; - for standard input (default: your own)", someText, "file"),
  },
  options: {
    format: value(
      "FORM",
      `with export: ${exportFormats.join(", ")} (default json)`,
      closeChoice(exportFormats),
      exportFormats,
    ),
    keys: repeated("FILE", "apply the key rotations and revocations in FILE", someText),
    name: value("NAME", "only deals of the daemon NAME", instanceName, "daemon"),
    identity: value("FILE", "only deals of the identity in FILE, which also signs in-toto", someText, "file"),
  },
  takesUrl: false,
  examples: [
    "agentchat receipts summary",
    "agentchat receipts verify ./.agentchat/receipts.jsonl",
    "agentchat receipts export --format yaml > receipts.yaml",
    "cat *.jsonl | agentchat receipts verify - --keys bob.public.json",
  ],
  notes: [
    "verify needs no network; exit 0 if all receipts are valid, 1 if one is invalid, 2 if it cannot decide (no",
    "receipt, or an unknown type or version). If a deal has several receipts, list, summary and export use the",
    "longest valid one.",
  ],
  async run(context, { args: { action, file }, options }) {
    refuseMisplaced(action, options, context.config.json)
    const keys = new KeyRing()
    for (const path of options.keys ?? []) addKeysFile(keys, resolve(context.system.cwd, path))
    const choice = { ...options, keys, file }
    const path = pathOf(context, file)
    const { withInputFile, withReceipts } = await import("../receipts/receipt-source.js")
    const run = (source: ReadableFile) => act(context, action, { ...choice, source })
    return file === "-" ? await withInputFile(context.io.input, run) : await withReceipts(path, run)
  },
})

interface Choice {
  readonly file: string | undefined
  /** The file to read. */
  readonly source: ReadableFile
  readonly keys: KeyRing
  readonly format: ExportFormat | undefined
  readonly name: InstanceName | undefined
  readonly identity: string | undefined
}

function refuseMisplaced(
  action: Action,
  options: Omit<Choice, "file" | "source" | "keys">,
  json: boolean,
): void {
  if (options.format !== undefined && action !== "export")
    throw new ChatError("USAGE", "--format: only with export")
  if (options.format === "yaml" && json)
    throw new ChatError("USAGE", "--format yaml and --json are mutually exclusive")
  if (action === "verify" && isNamed(options)) {
    const option = options.name === undefined ? "identity" : "name"
    throw new ChatError("USAGE", `--${option}: not allowed with verify, which checks every receipt`)
  }
}

function pathOf({ config, system }: Context, file: string | undefined): string {
  return file === undefined ? openHome(config.home, config.uid).receipts : resolve(system.cwd, file)
}

async function act(context: Context, action: Action, choice: Choice): Promise<number> {
  if (action === "verify") {
    const { verifyReceipts } = await import("../receipts/receipt-verify.js")
    return verifyReceipts(context, choice.source, choice.keys)
  }
  const own = await ownIds(context, choice)
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
  if (isNew) context.io.note("there are no receipts yet")
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
  if (file === undefined) return shownPath(config, openHome(config.home, config.uid).receipts)
  return file === "-" ? "standard input" : file
}

function list(context: Context, collected: readonly Collected[]): number {
  const facts = collected.map((one) => one.facts)
  return reportSuccess(context, { list: facts }, formatReceiptTable(facts, context.io.columns))
}

function summary(
  context: Context,
  collected: readonly Collected[],
  own: Awaited<ReturnType<typeof ownIds>>,
): number {
  const totals = summarize(
    collected.map(({ facts }) => facts),
    own,
  )
  return reportSuccess(context, totals, formatSummary(totals))
}

async function exportAll(context: Context, collected: readonly Collected[], choice: Choice): Promise<number> {
  const { exportReceipts } = await import("../receipts/receipt-export.js")
  const all = collected.map(({ receipt }) => receipt)
  const { format = "json" } = choice
  if (format !== "in-toto") await exportReceipts(context, all, { format })
  else await exportReceipts(context, all, { format, signer: await readSigner(context, choice) })
  return 0
}

/** @throws {ChatError} IDENTITY_REQUIRED if there is no identity to sign with */
async function readSigner(context: Context, choice: Choice) {
  const path = ownIdentityFile(context, choice)
  const { readIdentity } = await import("../../identity/identity-file.js")
  try {
    return readIdentity(path)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "NOT_FOUND" || isNamed(choice)) throw error
    throw new ChatError(
      "IDENTITY_REQUIRED",
      `--format in-toto: needs an identity to sign with, and ${path} does not exist`,
      { hint: "create one: agentchat identity --generate; or name one: --identity FILE, --name NAME" },
    )
  }
}

import { escapeInvisible } from "../../base/visible-text.js"
import type { Identity } from "../../identity/identity-file.js"
import type { Receipt } from "../../proposals/receipt.js"
import type { Context } from "../context.js"

export const exportFormats = ["json", "yaml", "in-toto"] as const
export type ExportFormat = (typeof exportFormats)[number]

/** Number of receipts after which an export waits until they are written. */
const receiptsPerFlush = 64

/**
 * Writes receipts to standard output: as an indented JSON array, as a YAML sequence, or as signed envelopes, one per
 * line.
 * @param form - `signer` is the identity that signs the envelopes
 */
export async function exportReceipts(
  { io }: Pick<Context, "io">,
  receipts: readonly Receipt[],
  form:
    | { readonly format: Exclude<ExportFormat, "in-toto"> }
    | { readonly format: "in-toto"; signer: Identity },
): Promise<void> {
  const write = await writerOf(form)
  if (form.format !== "in-toto" && receipts.length === 0) io.out("[]")
  else if (form.format === "json") io.out("[")
  for (const [index, receipt] of receipts.entries()) {
    for (const line of write(receipt, index === receipts.length - 1)) io.out(line)
    if (index % receiptsPerFlush === 0) await io.flush()
  }
  if (form.format === "json" && receipts.length > 0) io.out("]")
}

type Write = (receipt: Receipt, isLast: boolean) => string[]

async function writerOf(form: Parameters<typeof exportReceipts>[2]): Promise<Write> {
  switch (form.format) {
    case "json":
      return jsonLines
    case "yaml": {
      const { stringify } = await import("yaml")
      return (receipt) => yamlLines(receipt, stringify)
    }
    case "in-toto": {
      const { sealReceipt } = await import("./in-toto.js")
      return (receipt) => [JSON.stringify(sealReceipt(receipt, form.signer))]
    }
  }
}

function jsonLines(receipt: Receipt, isLast: boolean): string[] {
  const lines = JSON.stringify(receipt, null, 2)
    .split("\n")
    .map((line) => `  ${escapeInvisible(line)}`)
  return isLast ? lines : [...lines.slice(0, -1), `${lines.at(-1) ?? ""},`]
}

function yamlLines(receipt: Receipt, stringify: typeof import("yaml").stringify): string[] {
  const text = stringify([receipt], {
    // Quotes keep texts from being read as numbers, dates or booleans, and allow escapes for invisible characters.
    defaultStringType: "QUOTE_DOUBLE",
    defaultKeyType: "PLAIN",
    doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER,
    lineWidth: 0,
    aliasDuplicateObjects: false,
  })
  return text
    .trimEnd()
    .split("\n")
    .map((line) => escapeInvisible(line, escapeInYaml))
}

function escapeInYaml(char: string): string {
  return `\\U${(char.codePointAt(0) ?? 0).toString(16).padStart(8, "0")}`
}

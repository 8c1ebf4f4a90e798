import { KeyRing } from "../../src/cli/receipts/key-statements.js"
import { judgeReceipts } from "../../src/cli/receipts/receipt-source.js"

/** Returns our verdict on each receipt of a file and on whatever else cannot be used, such as `3 invalid`. */
export async function ourVerdicts(path: string): Promise<string[]> {
  const verdicts: string[] = []
  const io = { flush: () => Promise.resolve() } as Parameters<typeof judgeReceipts>[0]["io"]
  for await (const { line, status } of judgeReceipts({ io }, path, new KeyRing())) {
    verdicts.push(`${line} ${status}`)
  }
  return verdicts
}

/** A Python program that reads a list of paths and prints the verdicts of receipts.py on each, as {@link ourVerdicts}. */
export const pythonVerdicts = `
import functools, json, sys
import receipts
# Changed lines repeat a few signatures and keys.
receipts.ed25519_verify = functools.lru_cache(None)(receipts.ed25519_verify)
receipts.key_point = functools.lru_cache(None)(receipts.key_point)
answers = []
for path in json.load(sys.stdin):
    lines, _ = receipts.read_lines(path)
    receipts.judge(lines, [])
    lines = [line for line in lines if line.kind == "RECEIPT" or line.status != "valid"]
    answers.append(["%d %s" % (line.number, line.status) for line in lines])
print(json.dumps(answers))
`

/** A script for the page that returns its verdicts, as {@link ourVerdicts}. */
export const pageVerdicts = `
  const total = document.querySelector("#total")
  while (total.textContent === "" || total.textContent === "Checking…") await new Promise(requestAnimationFrame)
  const cards = Array.from(document.querySelectorAll("article"), (card) => {
    const [, kind, number] = /^.*?( revocation| rotation)?: line ([0-9]+)$/.exec(card.querySelector("h2").textContent)
    return kind !== undefined && card.className === "valid" ? [] : [number + " " + card.className]
  })
  return cards.flat()`

import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { ReceiptsFile } from "../../src/daemon/deals/receipts-file.js"
import { describeProcess } from "../../src/daemon/files/process-record.js"
import { parseReceipt } from "./receipt-line.js"

// Appends each receipt of one file to another, as a daemon does.
const [path = "", input = ""] = process.argv.slice(2)
const file = new ReceiptsFile(path, { process: describeProcess(process.pid), now: () => Date.now() })
for (const line of readFileSync(input, "utf8").split("\n").slice(0, -1)) {
  while (!file.append([parseReceipt(line)])) await sleep(2)
}

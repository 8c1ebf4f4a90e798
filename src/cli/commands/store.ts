import { resolve } from "node:path"
import { compactStore, exportStore, verifyStore } from "../../backbone/sql/store-maintenance.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { defineCommand, required } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { choice, someText } from "../input/values.js"

const actions = ["verify", "compact", "export"] as const

/** Exit status of `verify` for a damaged store. */
const damagedStatus = 9

/** Number of lines after which an export waits until they are written. */
const linesPerFlush = 200

export const store = defineCommand({
  args: {
    action: required(actions.join(", "), choice(actions), actions),
    dir: required("directory given to serve --data", someText, "directory"),
  },
  options: {},
  takesUrl: false,
  examples: [
    "agentchat store verify ./relay-data",
    "agentchat store compact ./relay-data",
    "agentchat store export ./relay-data > relay-data.jsonl",
  ],
  notes: [
    "verify reads everything; exit 0 if the store is intact, 9 if it is damaged. compact frees unused disk",
    "space. export prints one JSON object per message and record. Stop the relay first: the store of a",
    "running relay is refused (exit 10).",
  ],
  async run(context, { args: { action, dir } }) {
    const path = resolve(context.system.cwd, dir)
    switch (action) {
      case "verify":
        return await verify(context, path)
      case "compact":
        return await compact(context, path)
      case "export":
        return await exportLines(context, path)
    }
  },
})

async function verify({ io, config }: Context, dir: string): Promise<number> {
  const { isWhole, logs, entries, rows, faults } = await verifyStore(dir)
  if (config.json) io.json({ ok: isWhole, logs, entries, rows, faults })
  else {
    for (const fault of faults) io.out(formatForTerminal(fault))
    io.out(`${isWhole ? "intact" : "damaged"}: ${logs} logs, ${entries} entries, ${rows} rows`)
  }
  return isWhole ? 0 : damagedStatus
}

async function compact(context: Context, dir: string): Promise<number> {
  const { before, after } = await compactStore(dir)
  const text = `${before} bytes before, ${after} bytes now`
  return reportSuccess(context, { bytes_before: before, bytes_after: after }, text)
}

async function exportLines({ io }: Context, dir: string): Promise<number> {
  let lines = 0
  for await (const line of exportStore(dir)) {
    io.json(line)
    if (++lines % linesPerFlush === 0) await io.flush()
  }
  return 0
}

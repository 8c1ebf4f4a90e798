import { resolve } from "node:path"
import {
  backupStore,
  compactStore,
  exportStore,
  restoreStore,
  verifyStore,
} from "../../backbone/sql/store-maintenance.js"
import type { StoreLine } from "../../backbone/sql/worker-protocol.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, optional, required } from "../command.js"
import type { Context } from "../context.js"
import { reportSuccess } from "../exit-status.js"
import { choice, someText } from "../input/values.js"

const actions = ["verify", "backup", "restore", "compact", "export"] as const

/** Exit status of `verify` for a damaged store. */
const damagedStatus = 9

/** Number of lines after which an export waits until they are written. */
const linesPerFlush = 200

export const store = defineCommand({
  args: {
    action: required(actions.join(", "), choice(actions), actions),
    dir: required("directory given to serve --data", someText, "directory"),
    file: optional("backup: the file to write; restore: the file to read", someText, "file"),
  },
  options: {},
  takesUrl: false,
  examples: [
    "agentchat store verify ./relay-data",
    "agentchat store backup ./relay-data ./relay.backup",
    "agentchat store restore ./relay-data ./relay.backup",
    "agentchat store compact ./relay-data",
    "agentchat store export ./relay-data > relay-data.jsonl",
  ],
  notes: [
    "verify reads everything; exit 0 if the store is intact, 9 if it is damaged. backup writes a verified copy to a",
    "new file. restore checks that file, or a copied store.db, and makes the store of the directory from it; neither",
    "overwrites anything. compact frees unused disk space. export prints one JSON object per message and record.",
    "Only backup takes the store of a running relay; stop the relay for the rest (exit 10).",
  ],
  async run(context, { args: { action, dir, file } }) {
    const path = resolve(context.system.cwd, dir)
    const pathOfFile = () => resolve(context.system.cwd, fileOf(action, file))
    if (file !== undefined && action !== "backup" && action !== "restore") {
      throw new ChatError("USAGE", `store ${action}: takes no file`)
    }
    switch (action) {
      case "verify":
        return await verify(context, path)
      case "backup":
        return await backup(context, path, pathOfFile())
      case "restore":
        return await restore(context, path, pathOfFile())
      case "compact":
        return await compact(context, path)
      case "export":
        return await exportLines(context, path)
    }
  },
})

function fileOf(action: string, file: string | undefined): string {
  if (file !== undefined) return file
  throw new ChatError("USAGE", `store ${action}: name the directory and then the file of the backup`, {
    hint:
      action === "backup"
        ? "agentchat store backup ./relay-data ./relay.backup"
        : "agentchat store restore ./relay-data ./relay.backup",
  })
}

async function verify({ io, config }: Context, dir: string): Promise<number> {
  const { isWhole, logs, entries, rows, faults } = await verifyStore(dir, {
    isReadable: await contentCheck(),
  })
  if (config.json) io.json({ ok: isWhole, logs, entries, rows, faults })
  else {
    for (const fault of faults) io.out(formatForTerminal(fault))
    io.out(`${isWhole ? "intact" : "damaged"}: ${logs} logs, ${entries} entries, ${rows} rows`)
  }
  return isWhole ? 0 : damagedStatus
}

/** Returns the check of a relay for what it reads from its store. */
async function contentCheck(): Promise<(line: StoreLine) => boolean> {
  const { isReadableEntry, isReadableRow } = await import("../../server/stored-rows.js")
  return (line) =>
    line.kind === "row"
      ? isReadableRow(line.table, line.key, line.value)
      : isReadableEntry(line.family, line.value)
}

async function backup(context: Context, dir: string, file: string): Promise<number> {
  const { askForCopy } = await import("../relay/store-control.js")
  const options = { isReadable: await contentCheck(), askRelay: () => askForCopy(dir) }
  const { logs, entries, rows } = await backupStore(dir, file, options)
  const text = `backup written to ${formatForTerminal(file)}: ${logs} logs, ${entries} entries, ${rows} rows`
  return reportSuccess(context, { file, logs, entries, rows }, text)
}

async function restore(context: Context, dir: string, file: string): Promise<number> {
  const { logs, entries, rows } = await restoreStore(file, dir)
  const text = `restored: ${logs} logs, ${entries} entries, ${rows} rows; start the relay: agentchat serve --data`
  return reportSuccess(context, { logs, entries, rows }, `${text} ${formatForTerminal(dir)}`)
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

/**
 * The socket of a running relay, `store.sock` in its data directory: the lock of the store keeps other programs from
 * reading it, so a backup asks the relay for a copy.
 */
import { chmodSync } from "node:fs"
import type { Server } from "node:net"
import { basename, join } from "node:path"
import { isStage, makeStage, removeStages } from "../../backbone/sql/store-maintenance.js"
import { isPlain } from "../../base/plain.js"
import { askSocket, checkReply, serveSocket } from "../../daemon/process/control-socket.js"
import { ChatError } from "../../protocol/errors.js"
import type { RunningSpace } from "../../server/relay.js"

const socketName = "store.sock"

/**
 * Serves backups of a running relay. Without the socket, as in a directory whose path is too long for one, the relay
 * works all the same, and a backup has to wait until it is stopped.
 */
export async function serveStoreControl(
  dir: string,
  relay: Pick<RunningSpace, "copyStore">,
  log: (line: string) => void,
): Promise<Server | undefined> {
  try {
    removeStages(dir)
    return await serveSocket(join(dir, socketName), async (line) => {
      const request: unknown = JSON.parse(line)
      if (!isPlain(request) || request["op"] !== "copy")
        throw new ChatError("UNSUPPORTED", "op: must be copy")
      const stage = makeStage(dir)
      await relay.copyStore(join(stage, "store.db"))
      chmodSync(join(stage, "store.db"), 0o600)
      log(`backup: copied the store to ${stage}`)
      return { ok: true, notices: [basename(stage)] }
    })
  } catch (error) {
    log(`no backups while this relay runs: ${join(dir, socketName)}: ${(error as Error).message}`)
    return undefined
  }
}

/** Asks the relay that uses the store of a directory for a copy. @returns the directory of its `store.db` */
export async function askForCopy(dir: string): Promise<string> {
  const path = join(dir, socketName)
  let reply: string
  try {
    reply = await askSocket(path, { op: "copy" }, 0, "the relay")
  } catch (error) {
    throw new ChatError("ALREADY_RUNNING", `${dir}: a relay uses this store and does not answer on ${path}`, {
      hint: "stop it first, or run this as its user on its machine",
      cause: error,
    })
  }
  const [stage] = checkReply(reply)
  // The directory is removed afterwards, and the relay may be another user's.
  if (stage === undefined || !isStage(stage)) throw new ChatError("UNSUPPORTED", "the relay names no copy")
  return join(dir, stage)
}

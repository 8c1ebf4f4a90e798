import { readdirSync } from "node:fs"
import { resolve } from "node:path"
import { type InstanceName, nickPattern } from "../../protocol/names.js"

/** Every file of one `.agentchat` directory; `doc/files.md` names the writer of each. */
export interface RootPaths {
  readonly root: string
  readonly gitignore: string
  readonly identity: string
  readonly receipts: string
  readonly ratings: string
  readonly daemons: string
  readonly host: string
  readonly hostLog: string
  readonly relay: string
  readonly relayLog: string
  /** Identities of people who chat here. */
  readonly people: string
  /** The store of the relay that `up --durable` starts. */
  readonly relayData: string
  /** Records of the sessions of coding harnesses. */
  readonly sessions: string
  instance(name: InstanceName): DaemonPaths
}

/** Every file of one daemon. */
export interface DaemonPaths {
  readonly name: InstanceName
  readonly dir: string
  readonly inbox: string
  readonly segments: string
  readonly bookmarks: string
  readonly memory: string
  readonly proposals: string
  readonly outbox: string
  readonly outboxDrop: string
  readonly outboxTaken: string
  readonly outboxCursor: string
  readonly acks: string
  readonly rejected: string
  readonly rejectedDir: string
  readonly released: string
  /** Ids of answers that a command has printed. */
  readonly answers: string
  readonly status: string
  readonly log: string
  /** The pid as a bare number, for shells; `record` counts. */
  readonly pid: string
  /** daemon.json: the process that runs the daemon. */
  readonly record: string
  readonly cursors: string
  /** Records of the processes that wait for lines. */
  readonly waits: string
  /** Echoes of the sessions that the daemon rang; here while it waits for some. */
  readonly echoes: string
  /** Claims of files, as the relay has them. */
  readonly claims: string
  /** The address of the webhook, the secret that signs, and what could not be delivered. */
  readonly webhook: string
  readonly webhookSecret: string
  readonly webhookDead: string
  readonly identity: string
  /** Shared by all daemons of the directory, as `receipts` is. */
  readonly sessions: string
  readonly receipts: string
}

/**
 * Returns the paths of one `.agentchat` directory.
 * @param root - the `.agentchat` directory itself, absolute or relative to the working directory
 */
export function rootPaths(root: string): RootPaths {
  const at = (...parts: string[]) => resolve(root, ...parts)
  return {
    root: at(),
    gitignore: at(".gitignore"),
    identity: at("identity.json"),
    receipts: at("receipts.jsonl"),
    ratings: at("ratings.json"),
    daemons: at("daemons"),
    host: at("host.json"),
    hostLog: at("host.log"),
    relay: at("relay.json"),
    relayLog: at("relay.log"),
    people: at("people"),
    relayData: at("relay-data"),
    sessions: at("sessions"),
    instance: (name) => instancePaths(at("daemons", name), name, at),
  }
}

/** Returns the names of all daemons that have a directory here, running or not, sorted. */
export function instanceNames(root: RootPaths): InstanceName[] {
  try {
    return readdirSync(root.daemons, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && nickPattern.test(entry.name))
      .map((entry) => entry.name as InstanceName)
      .sort()
  } catch {
    return []
  }
}

function instancePaths(dir: string, name: InstanceName, atRoot: (file: string) => string): DaemonPaths {
  const at = (...parts: string[]) => resolve(dir, ...parts)
  return {
    name,
    dir,
    inbox: at("inbox.jsonl"),
    segments: at("inbox"),
    bookmarks: at("bookmarks.json"),
    memory: at("memory.json"),
    proposals: at("proposals.jsonl"),
    outbox: at("outbox.jsonl"),
    outboxDrop: at("outbox.d"),
    outboxTaken: at("outbox.taken"),
    outboxCursor: at("outbox.cursor.json"),
    acks: at("acks.jsonl"),
    rejected: at("rejected.jsonl"),
    rejectedDir: at("rejected.d"),
    released: at("released.jsonl"),
    answers: at("answers.jsonl"),
    status: at("status.json"),
    log: at("daemon.log"),
    pid: at("daemon.pid"),
    record: at("daemon.json"),
    cursors: at("cursors"),
    claims: at("claims.json"),
    webhook: at("webhook.json"),
    webhookSecret: at("webhook.secret"),
    webhookDead: at("webhook.dead.jsonl"),
    waits: at("waits"),
    echoes: at("echoes"),
    identity: name === "default" ? atRoot("identity.json") : at("identity.json"),
    sessions: atRoot("sessions"),
    receipts: atRoot("receipts.jsonl"),
  }
}

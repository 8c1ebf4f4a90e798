import { type ExecFileException, execFile } from "node:child_process"
import { readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { isRunning } from "../../daemon/files/process-record.js"
import type { WakeDoor } from "../../daemon/wake/session-doors.js"
import { ChatError } from "../../protocol/errors.js"

const commandMs = 10_000
/** The form of a thread's id, so that it is neither an option nor a path. */
const threadPattern = /^[0-9A-Za-z][0-9A-Za-z-]{7,63}$/

/** Where Codex and its files are. */
export interface CodexPlace {
  /** `$CODEX_HOME`, absolute. */
  readonly home: string
  /** Directory of the session. */
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
}

/**
 * `codex queue` for a thread. The command succeeds also if nobody is on the thread, so the lock of the thread has to be held
 * by a living process first. A thread that works takes the message when its turn has ended, as a turn of its own.
 */
export function codexQueueDoor(thread: string | undefined, place: CodexPlace): WakeDoor | undefined {
  if (thread === undefined || !threadPattern.test(thread)) return undefined
  return {
    method: "codex-queue",
    queues: false,
    ring: async (text) => {
      await checkHolder(join(place.home, "thread-writer-locks", `${thread}.lock`), place.env)
      const output = await run("codex", ["queue", "--thread", thread, "--message", text], place)
      if (!/\bqueued message\b/i.test(output)) {
        throw new ChatError("UNREACHABLE", "codex queue: did not say that the message is queued")
      }
    },
  }
}

/** @throws {ChatError} if no living process holds the lock */
async function checkHolder(lock: string, env: NodeJS.ProcessEnv): Promise<void> {
  const found = statSync(lock, { throwIfNoEntry: false })
  if (found === undefined) throw new ChatError("UNREACHABLE", "codex: no process has opened the thread")
  const locks = readLocks()
  const pids = locks === undefined ? await openedBy(lock, env) : holdersOf(locks, found.ino)
  if (!pids.some((pid) => isRunning(pid))) {
    throw new ChatError("UNREACHABLE", "codex: no living process is on the thread")
  }
}

/** Returns the locks of all processes; undefined where the system does not list them. */
function readLocks(): string | undefined {
  try {
    // It has no size, as no file of the kernel has.
    return readFileSync("/proc/locks", "utf8")
  } catch {
    return undefined
  }
}

/** Reads lines such as `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`. */
function holdersOf(locks: string, inode: number): number[] {
  return locks.split("\n").flatMap((line) => {
    const [, type, , , pid, file] = line.trim().split(/\s+/)
    return type === "FLOCK" && file?.split(":")[2] === String(inode) ? [Number(pid)] : []
  })
}

async function openedBy(path: string, env: NodeJS.ProcessEnv): Promise<number[]> {
  const output = await run("lsof", ["-t", path], { env })
  return output.split("\n").map(Number).filter(Number.isSafeInteger)
}

function run(
  command: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd?: string; readonly env: NodeJS.ProcessEnv },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { ...(cwd !== undefined && { cwd }), env, timeout: commandMs, encoding: "utf8" } as const
    execFile(command, args, options, (error, stdout) => {
      if (error === null) resolve(stdout)
      else reject(new ChatError("UNREACHABLE", `${command}: ${reasonOf(error)}`))
    }).stdin?.end()
  })
}

/** Says why a command failed. Its own output may quote the message. */
function reasonOf({ killed, code }: ExecFileException): string {
  if (killed === true) return `no answer within ${commandMs / 1_000} s`
  return typeof code === "number" ? `exit status ${code}` : (code ?? "failed")
}

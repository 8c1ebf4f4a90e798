/** Speaks with systemd, or another manager of services with its conventions. */
import { ChatError } from "../../protocol/errors.js"
import type { Environment } from "../config.js"

/** The first file descriptor that a manager of services passes on. @see sd_listen_fds(3) */
const firstFd = 3

/**
 * Returns the file descriptor of the socket that was opened for this process; undefined without one.
 * @throws {ChatError} USAGE for several sockets
 */
export function inheritedSocket(env: Environment, pid: number): number | undefined {
  // A process that this one's parent started for something else inherits the variables too.
  if (env["LISTEN_PID"] !== String(pid)) return undefined
  const count = Number(env["LISTEN_FDS"] ?? 0)
  if (count === 1) return firstFd
  if (count === 0) return undefined
  throw new ChatError("USAGE", `LISTEN_FDS: the relay listens on one socket, not on ${env["LISTEN_FDS"]}`)
}

/**
 * Reports to the manager that the program is ready. Node.js has no datagram sockets of this kind, so the program of
 * systemd sends the report.
 * @param log - gets a line if it cannot be sent
 */
export async function notifyReady(env: Environment, log: (line: string) => void): Promise<void> {
  if (env["NOTIFY_SOCKET"] === undefined) return
  const { execFile } = await import("node:child_process")
  execFile("systemd-notify", ["--ready"], (error) => {
    if (error !== null) log(`systemd-notify: ${error.message.trim()}`)
  })
}

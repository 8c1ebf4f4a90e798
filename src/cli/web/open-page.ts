/** Runs the page of `agentchat web`, and opens it in a browser. */
import { spawn } from "node:child_process"
import { rmSync } from "node:fs"
import { platform } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { writeFileAtomic } from "../../base/files.js"
import type { AgentChatClient } from "../../client/client.js"
import type { Identity } from "../../identity/identity-file.js"
import type { Context } from "../context.js"
import { ExitStatus } from "../exit-status.js"

/** Port of the page. */
export const defaultWebPort = 7799

/** A page to serve, and where. */
export interface PageOptions {
  readonly client: AgentChatClient
  readonly relayUrl: string
  readonly identity: Identity | undefined
  readonly name: string
  readonly host: string
  readonly port: number
  readonly isOpened: boolean
  /** A directory of this user alone. */
  readonly directory: string
  /** Name of the file in it that keeps how far the person has read; absent: it is forgotten. */
  readonly positions: string | undefined
  /** Called once the page is served. */
  readonly onReady?: () => void
}

/** Serves the page until the user interrupts the command. @returns the exit status @throws {ChatError} as `WebServer.start` */
export async function servePage(context: Context, options: PageOptions): Promise<number> {
  const { io, clock, config } = context
  const { directory, positions, isOpened, ...served } = options
  const { WebServer } = await import("../../web/web-server.js")
  const { ReadPositions } = await import("../../web/read-positions.js")
  const exit = new ExitStatus()
  exit.endOnSignal(context)
  const opener = join(directory, "web.html")
  const web = await WebServer.start({
    ...served,
    clock,
    positions: positions === undefined ? undefined : new ReadPositions(join(directory, positions)),
    log: (line) => io.err(line),
    onLink: (link) => io.note(`for another browser: ${link}`),
  })
  try {
    if (config.json) io.json({ ok: true, url: web.url, link: web.link })
    else io.out(web.link)
    if (isOpened) openLink(web.link, opener, (problem) => io.note(problem))
    options.onReady?.()
    return await exit.status
  } finally {
    rmSync(opener, { force: true })
    await web.close()
  }
}

/** Programs that open a file with what the user prefers, by platform. */
const openers: Readonly<Record<string, readonly [string, ...string[]]>> = {
  darwin: ["open"],
  win32: ["cmd", "/c", "start", ""],
}

/** Opens a link by way of a file, because everybody on the machine can read the arguments of a process. */
function openLink(link: string, file: string, report: (problem: string) => void): void {
  const page = `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url=${link}">\n`
  writeFileAtomic(file, page)
  const [program, ...args] = openers[platform()] ?? ["xdg-open"]
  const child = spawn(program, [...args, pathToFileURL(file).href], { stdio: "ignore", detached: true })
  child.on("error", () => report(`no browser could be started (${program}); open the link yourself`))
  child.unref()
}

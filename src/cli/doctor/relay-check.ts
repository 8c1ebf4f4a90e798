/** Checks the relay by its `/health`: no session is opened, so that no agent appears. */
import { get, type IncomingMessage, type RequestOptions } from "node:http"
import { get as getSecure } from "node:https"
import { TLSSocket } from "node:tls"
import { isPlain } from "../../base/plain.js"
import { errorOfNetwork } from "../../client/relay-error.js"
import { connectOptionsOf, formatServer, parseServerUrl, spaceOf } from "../../client/server-url.js"
import { instanceNames, rootPaths } from "../../daemon/files/paths.js"
import { readStatus } from "../../daemon/status.js"
import { defaultPort, defaultServer } from "../../protocol/limits.js"
import { spacePath } from "../../protocol/spaces.js"
import type { Context } from "../context.js"
import type { Check } from "./check.js"
import { asCheck } from "./system-checks.js"

/** Milliseconds that a relay may take, and bytes that its answer may have. */
const answerMs = 5_000
const maxAnswer = 64 * 1024
/** Difference of two clocks that matters: deals and tasks have deadlines. `Date` counts whole seconds. */
const skewMs = 30_000
/** Days before its end at which a certificate counts as about to end. */
const certificateDays = 14
const dayMs = 86_400_000

/** Checks each relay that daemons of the home use, or the one that they would use. */
export async function checkRelays(context: Context): Promise<Check[]> {
  const { server } = context.config
  const used = relaysInUse(context)
  const meant = used.length === 0 && server !== undefined ? [server] : used
  if (meant.length === 0) return checkRelay(context, defaultServer, false)
  const checks = await Promise.all(meant.map((one) => checkRelay(context, one, true)))
  return checks.flat()
}

function relaysInUse({ config }: Context): string[] {
  const root = rootPaths(config.home)
  const used = instanceNames(root).flatMap((name) => {
    const status = readStatus(root.instance(name).status)
    return status === undefined || status.state === "stopped" ? [] : [status.server]
  })
  return [...new Set(used)]
}

/** @param isMeant - false for the usual address, which nobody has asked for */
async function checkRelay(context: Context, server: string, isMeant: boolean): Promise<Check[]> {
  let url: URL
  try {
    url = parseServerUrl(server)
  } catch (error) {
    return [asCheck("relay", error)]
  }
  try {
    const answer = await ask(url)
    return [...describeAnswer(context, url, answer), checkProxy(context, url, true)]
  } catch (error) {
    const { message, hint } = errorOfNetwork(formatServer(url), error as Error)
    const isAbsent = !isMeant && (error as NodeJS.ErrnoException).code === "ECONNREFUSED"
    const check = { level: isAbsent ? "off" : "bad", what: "relay", text: message } as const
    return [hint === undefined ? check : { ...check, fix: hint }, checkProxy(context, url, false)]
  }
}

/** The answer of a server. */
interface Answer {
  /** The body, parsed; undefined if it is no JSON. */
  readonly health: unknown
  /** Its clock, milliseconds since the Unix epoch; NaN if it does not say. */
  readonly date: number
  /** When its certificate ends; undefined without TLS. */
  readonly certificateEnd: number | undefined
}

function ask(url: URL): Promise<Answer> {
  const { hostname, port, protocol } = url
  const isSecure = protocol === "wss:"
  const options: RequestOptions = {
    host: hostname.replaceAll(/[[\]]/g, ""),
    port: port === "" ? (isSecure ? 443 : 80) : Number(port),
    path: healthPath(url),
    timeout: answerMs,
    // An agent would make the connection itself.
    ...(url.hash === "" ? { agent: false } : connectOptionsOf(url)),
  }
  return new Promise((resolve, reject) => {
    const request = (isSecure ? getSecure : get)(options, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
        if (text.length > maxAnswer) request.destroy(new Error("its answer is too long for a relay"))
      })
      response.on("end", () => resolve(answerOf(response, text)))
    })
    const late = Object.assign(new Error(`no answer within ${answerMs / 1_000} s`), { code: "ETIMEDOUT" })
    request.on("timeout", () => request.destroy(late))
    request.on("error", reject)
  })
}

function answerOf({ headers, socket }: IncomingMessage, text: string): Answer {
  const certificate = socket instanceof TLSSocket ? socket.getPeerCertificate() : undefined
  return {
    health: parse(text),
    date: Date.parse(headers.date ?? ""),
    certificateEnd: certificate === undefined ? undefined : Date.parse(certificate.valid_to),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function describeAnswer({ clock }: Context, url: URL, { health, date, certificateEnd }: Answer): Check[] {
  const shown = formatServer(url)
  if (isPlain(health) && "spaces" in health) {
    const text = `${shown} is a relay with spaces, and the address names none`
    return [{ level: "bad", what: "relay", text, fix: `agentchat daemon ${shown}/space/NAME --background` }]
  }
  if (!isPlain(health) || !("server_id" in health)) {
    const port = Number(url.port || defaultPort)
    const space = spaceOf(url)
    if (space !== undefined) {
      const text = `${shown}: no space of that name is there`
      const fix = `check the name, or start the relay with: agentchat serve --space ${space}`
      return [{ level: "bad", what: "relay", text, fix }]
    }
    const text = `${shown}: another program answers there, not a relay`
    return [
      {
        level: "bad",
        what: "relay",
        text,
        fix: `agentchat up --port ${port < 65_535 ? port + 1 : defaultPort}`,
      },
    ]
  }
  const relay: Check =
    health["ok"] === true
      ? { level: "ok", what: "relay", text: `${shown} answers, ${countOf(health["agents"])} online` }
      : {
          level: "bad",
          what: "relay",
          text: `${shown} answers, but cannot reach its store`,
          fix: `curl -s ${httpUrl(url)}`,
        }
  return [relay, checkClock(date, clock.now()), checkTls(url, certificateEnd, clock.now())]
}

/** Returns the path of the health of a relay, or of the space that an address names. */
function healthPath(url: URL): string {
  const space = spaceOf(url)
  return `${space === undefined ? "" : spacePath(space)}/health`
}

function countOf(agents: unknown): string {
  return agents === 1 ? "1 agent" : `${String(agents)} agents`
}

function httpUrl(url: URL): string {
  return `${url.protocol === "wss:" ? "https" : "http"}://${url.host}${healthPath(url)}`
}

function checkClock(date: number, nowMs: number): Check {
  const what = "clock"
  if (Number.isNaN(date)) return { level: "warn", what, text: "the relay does not tell its time" }
  const difference = nowMs - date
  // Its second has begun up to one second before.
  const aheadMs = Math.max(0, Math.abs(difference) - 1_000)
  if (aheadMs < skewMs) return { level: "ok", what, text: "agrees with the relay's" }
  const text = `${Math.round(aheadMs / 1_000)} s ${difference > 0 ? "ahead of" : "behind"} the relay's: deadlines and ages are wrong`
  return { level: "bad", what, text, fix: "sudo timedatectl set-ntp true" }
}

function checkTls({ protocol, hostname }: URL, certificateEnd: number | undefined, nowMs: number): Check {
  const what = "tls"
  if (protocol !== "wss:") {
    if (isLocal(hostname)) return { level: "ok", what, text: "not needed on this machine" }
    const fix = "agentchat serve --tls-cert cert.pem --tls-key key.pem"
    return { level: "warn", what, text: "messages cross the network unencrypted", fix }
  }
  const days = Math.floor(((certificateEnd ?? Number.NaN) - nowMs) / dayMs)
  if (Number.isNaN(days)) return { level: "ok", what, text: "the certificate is trusted" }
  const text = `the certificate is trusted and ends in ${days} days`
  return { level: days < certificateDays ? "warn" : "ok", what, text }
}

function isLocal(hostname: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}

const proxyNames = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]

/** Agentchat connects directly. That matters only where nothing but a proxy leads out. */
function checkProxy({ env }: Context, { hostname }: URL, isReached: boolean): Check {
  const name = proxyNames.find((one) => (env[one] ?? "") !== "")
  if (name === undefined) return { level: "ok", what: "proxy", text: "no variable names one" }
  if (isReached || isLocal(hostname)) {
    return { level: "ok", what: "proxy", text: `${name} is set and not used: agentchat connects directly` }
  }
  const text = `${name} is set, but agentchat connects directly; the relay must be reachable without the proxy`
  const fix = `ssh -NL ${defaultPort}:${hostname}:${defaultPort} HOST, then agentchat daemon ${defaultServer} --background`
  return { level: "warn", what: "proxy", text, fix }
}

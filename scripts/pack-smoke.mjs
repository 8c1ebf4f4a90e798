// Uses the packed package as a new user would: installed into an empty folder, without access to this checkout.
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import { setTimeout as delay } from "node:timers/promises"
import { parseArgs } from "node:util"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { install, pack } from "./pack-install.mjs"
import { readJson, root } from "./project.mjs"
import { pinnedLock } from "./shrinkwrap.mjs"

/** Milliseconds after which a check is killed; far above what any of them needs. */
const deadlineMs = 30_000

const { version } = /** @type {{ version: string }} */ (readJson("package.json"))
const folder = mkdtempSync(join(tmpdir(), "agentchat-pack-"))
/** `--program FILE` tests an executable of `npm run package` in place of the package. */
const { values } = parseArgs({ options: { program: { type: "string" } } })
const program = resolve(root, values.program ?? join(folder, "node_modules", ".bin", "agentchat"))
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("AGENTCHAT_")))

try {
  if (values.program === undefined) await checkPackage()
  await check("prints its version", () => expectText(agentchat("--version"), version))
  await check("prints its help", () => expectText(agentchat("--help"), "Usage"))
  await check("carries a line from send to listen", carryLine)
  await check("starts a relay with a store and a daemon", useStore)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function checkPackage() {
  const tarball = pack(folder)
  await check("satisfies publint", () => satisfyPublint(tarball))
  await check("pins what a user installs", () => checkPins(tarball))
  await check("installs", () => install(tarball, folder))
  await check("has the files of the web page", checkPage)
  await check("is imported as a library", importLibrary)
  await check("carries types that stand alone", checkTypes)
}

async function useStore() {
  try {
    agentchat("up", "--durable", "--port", String(await findFreePort()))
    agentchat("send", "#general", "kept")
    agentchat("backup", join(".agentchat", "relay-data"), "backup")
    expectText(agentchat("restore", "restored", "backup"), "restored: ")
  } finally {
    agentchat("down", "--yes")
  }
}

/**
 * @param {string} claim - what the package does, unless `verify` throws
 * @param {() => unknown} verify
 */
async function check(claim, verify) {
  try {
    await verify()
  } catch (cause) {
    throw new Error(`it does not hold that the program ${claim}`, { cause })
  }
  console.log(`  ${claim}`)
}

/** The web page is read from the package when `agentchat web` starts. */
function checkPage() {
  const page = join(folder, "node_modules", "agentchat", "dist", "src", "web", "page")
  const missing = ["index.html", "main.js", "style.css", "icon.svg", "words/en.json", "words/zh.json"].filter(
    (name) => !existsSync(join(page, name)),
  )
  if (missing.length > 0) throw new Error(`without ${missing.join(", ")}`)
}

/**
 * Compares the shrinkwrap in the package with package-lock.json. The checkout must have none, or npm would prefer it.
 * @param {string} tarball
 */
function checkPins(tarball) {
  const text = execFileSync("tar", ["-xzOf", tarball, "package/npm-shrinkwrap.json"], { encoding: "utf8" })
  const expected = pinnedLock()
  const names = Object.keys(expected.packages)
  if (!names.includes("node_modules/ws") || names.includes("node_modules/vitest"))
    throw new Error(`it pins ${names.join(", ")}`)
  if (text !== expected.text) throw new Error("npm-shrinkwrap.json differs from package-lock.json")
  if (existsSync(join(root, "npm-shrinkwrap.json")))
    throw new Error("npm-shrinkwrap.json is left in the checkout")
}

/** @param {string} tarball */
async function satisfyPublint(tarball) {
  const bytes = new Uint8Array(readFileSync(tarball))
  const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer }, strict: true })
  if (messages.length > 0) throw new Error(messages.map((message) => formatMessage(message, pkg)).join("\n"))
}

function importLibrary() {
  const script = 'import { AgentChatClient } from "agentchat"; console.log(typeof AgentChatClient)'
  const args = ["--input-type=module", "--eval", script]
  expectText(execFileSync(process.execPath, args, { cwd: folder, env, encoding: "utf8" }), "function")
}

/** Compiles a strict program that uses the library, with Node's types and no others. */
function checkTypes() {
  const lines = [
    'import { AgentChatClient, type DealEvent } from "agentchat"',
    'const client = new AgentChatClient({ server: "ws://127.0.0.1:6667", name: "a" })',
    'client.on("proposal", (event: DealEvent<"PROPOSAL">) => client.accept(event.id, event.task))',
    "",
  ]
  writeFileSync(join(folder, "user.mts"), lines.join("\n"))
  const tsc = join(root, "node_modules", "@typescript", "native", "bin", "tsc")
  const options = ["--noEmit", "--strict", "--module", "node20", "--target", "es2023", "--types", "node"]
  execFileSync(process.execPath, [tsc, ...options, "user.mts"], { cwd: folder, stdio: "inherit" })
}

async function carryLine() {
  const port = await findFreePort()
  const relay = start("serve", "--port", String(port))
  try {
    await becomeHealthy(port)
    const url = `ws://127.0.0.1:${port}`
    const text = "one line through the packed program"
    const listener = start("listen", url, "#general", "--replay")
    // The order does not matter: a listener that joins after the send gets the line by replay.
    agentchat("send", url, "#general", text)
    await printText(listener, text)
    relay.kill("SIGTERM")
    await once(relay, "exit", { signal: AbortSignal.timeout(deadlineMs) })
  } finally {
    relay.kill("SIGKILL")
  }
}

/** @returns {Promise<number>} a port that was free a moment ago */
async function findFreePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === "string") throw new Error("no port to be had")
  return address.port
}

/** @param {number} port */
async function becomeHealthy(port) {
  const deadline = AbortSignal.timeout(deadlineMs)
  for (;;) {
    const isHealthy = await fetch(`http://127.0.0.1:${port}/health`, { signal: deadline }).then(
      (response) => response.ok,
      () => false,
    )
    if (isHealthy) return
    await delay(50, undefined, { signal: deadline })
  }
}

/**
 * @param {ReturnType<typeof start>} child
 * @param {string} text
 */
async function printText(child, text) {
  for await (const line of createInterface(child.stdout)) {
    if (!line.includes(text)) continue
    child.kill()
    return
  }
  throw new Error(`listen ended without "${text}"`)
}

/** @param {readonly string[]} args */
function agentchat(...args) {
  return execFileSync(program, args, { cwd: folder, env, encoding: "utf8", timeout: deadlineMs })
}

/** @param {readonly string[]} args */
function start(...args) {
  return spawn(program, args, {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: deadlineMs,
    killSignal: "SIGKILL",
  })
}

/**
 * @param {string} output
 * @param {string} text
 */
function expectText(output, text) {
  if (!output.includes(text)) throw new Error(`"${text}" is missing in: ${output}`)
}

import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { parse } from "yaml"
import { parseCommandLine } from "../../src/cli/parser.js"
import { TestRelay } from "../kit/relay.js"

const root = join(import.meta.dirname, "../..")
const dockerfile = readFileSync(join(root, "Dockerfile"), "utf8").replaceAll(/\\\n/g, " ")

/** Returns the JSON array of an instruction of the last stage. */
function wordsOf(instruction: RegExp): string[] {
  const [, words = "[]"] = instruction.exec(dockerfile.slice(dockerfile.lastIndexOf("\nFROM "))) ?? []
  return JSON.parse(words) as string[]
}

interface Service {
  readonly command?: readonly string[]
  readonly profiles?: readonly string[]
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly depends_on?: readonly string[]
  readonly volumes?: readonly string[]
  readonly build?: string
}

const compose = parse(readFileSync(join(root, "compose.yaml"), "utf8"), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, null>>
}

it("the image runs a relay as a user without rights, by a command line that the program takes", async () => {
  expect(dockerfile.slice(dockerfile.lastIndexOf("\nFROM "))).toMatch(/^USER node$/m)
  expect(wordsOf(/^ENTRYPOINT (\[.*\])$/m)).toEqual(["agentchat"])
  expect(await parseCommandLine(wordsOf(/^CMD (\[.*\])$/m), () => undefined)).toMatchObject({ name: "serve" })
})

it("the health check of the image succeeds for a relay that runs, and fails without one", async () => {
  const [program, ...words] = wordsOf(/HEALTHCHECK .*CMD (\[.*\])$/m)
  expect(program).toBe("node")
  const { relay, stop } = await startRelay()
  const check = async () => {
    const placed = words.map((word) => word.replace(":6667/", `:${relay.port}/`))
    const [status] = (await once(spawn(process.execPath, placed, { stdio: "ignore" }), "exit")) as [number]
    return status
  }
  expect(await check()).toBe(0)
  await stop()
  expect(await check()).toBe(1)
})

async function startRelay() {
  const test = await TestRelay.start()
  return { relay: test.relay, stop: () => test.stop() }
}

it("the services of compose.yaml are read-only without capabilities, and name what exists", async () => {
  const { services, volumes } = compose
  for (const {
    command = [],
    build,
    read_only,
    cap_drop,
    depends_on = [],
    volumes: mounts = [],
  } of Object.values(services)) {
    for (const name of depends_on) expect(Object.keys(services)).toContain(name)
    for (const mount of mounts) expect(Object.keys(volumes)).toContain(mount.split(":", 1)[0])
    if (build === undefined) continue
    expect([read_only, cap_drop]).toEqual([true, ["ALL"]])
    if (command.length > 0) {
      expect(await parseCommandLine(command, () => undefined)).toMatchObject({ name: "serve" })
    }
  }
})

it("the profile cluster has three relays over three NATS nodes that know each other, and a proxy", () => {
  const cluster = Object.entries(compose.services).filter(([, { profiles }]) => profiles?.includes("cluster"))
  expect(cluster.map(([name]) => name)).toEqual([
    ...["relay1", "relay2", "relay3", "nats1", "nats2", "nats3", "proxy"],
  ])
  for (const [name, { command = [] }] of cluster) {
    const others = ["nats1", "nats2", "nats3"].filter((node) => node !== name)
    if (name.startsWith("nats"))
      for (const node of others) expect(command.join(" ")).toContain(`nats://${node}:6222`)
    if (name === "proxy")
      for (const node of ["relay1", "relay2", "relay3"]) expect(command).toContain(`${node}:6667`)
  }
})

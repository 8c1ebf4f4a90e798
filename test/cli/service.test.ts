import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { type ServiceSpec, systemdUnit } from "../../src/cli/service/unit-files.js"
import { CommandRoom } from "../kit/command-room.js"
import { hasProgram } from "../kit/requires.js"

/** A home with a `systemctl` that writes down its arguments, and fails for what FAIL names. */
class Machine extends CommandRoom {
  readonly userHome = join(this.dir, "home")
  readonly log = join(this.dir, "calls")
  readonly unit = join(this.userHome, ".config/systemd/user/agentchat-relay.service")

  constructor() {
    super()
    const bin = join(this.dir, "bin")
    mkdirSync(bin)
    const script = `#!/bin/sh\necho "$@" >>${this.log}\ncase "$*" in *"$FAIL"*) echo refused >&2; exit 4;; esac\n`
    writeFileSync(join(bin, "systemctl"), script, { mode: 0o755 })
  }

  service(words: readonly string[], fail = "nothing") {
    const env = { PATH: `${join(this.dir, "bin")}:/usr/bin:/bin`, HOME: this.userHome, FAIL: fail }
    return this.run(["service", ...words], { env })
  }

  calls(): string[] {
    return existsSync(this.log) ? readFileSync(this.log, "utf8").trimEnd().split("\n") : []
  }
}

it("service installs a relay of the user, shows whether it runs, and removes it again", async () => {
  const machine = new Machine()
  expect(await machine.service(["status", "--user"])).toMatchObject({ status: 3 })
  const installed = await machine.service(["install", "--user", "--", "--port", "7000"])
  expect(installed).toMatchObject({
    status: 0,
    out: expect.stringContaining("agentchat-relay runs") as string,
  })
  expect(statSync(machine.unit).mode & 0o777).toBe(0o644)
  const text = readFileSync(machine.unit, "utf8")
  expect(text).toMatch(/^ExecStart=.* serve --port 7000 --data "\$\{STATE_DIRECTORY\}\/store"$/m)
  expect(text).toMatch(/^NoNewPrivileges=yes$/m)
  expect(await machine.service(["status", "--user"])).toMatchObject({
    status: 0,
    out: "agentchat-relay runs\n",
  })
  expect((await machine.service(["status", "--user"], "is-active")).status).toBe(3)
  expect(await machine.service(["install", "--user", "--", "--data", "/srv/chat"])).toMatchObject({
    status: 0,
  })
  expect(readFileSync(machine.unit, "utf8")).toMatch(/^ExecStart=.* serve --data \/srv\/chat$/m)
  expect(await machine.service(["uninstall", "--user"])).toMatchObject({ status: 0 })
  expect(existsSync(machine.unit)).toBe(false)
  expect(await machine.service(["uninstall", "--user"])).toMatchObject({ status: 3 })
  expect(machine.calls().filter((line) => !line.includes("is-active"))).toEqual([
    ...Array.from({ length: 2 }, () => [
      "--user daemon-reload",
      "--user enable agentchat-relay.service",
      "--user restart agentchat-relay.service",
    ]).flat(),
    "--user disable --now agentchat-relay.service",
  ])
})

it("service leaves a file of another program as it is", async () => {
  const machine = new Machine()
  mkdirSync(join(machine.unit, ".."), { recursive: true })
  writeFileSync(machine.unit, "[Service]\n")
  for (const action of ["install", "uninstall"]) {
    const { status, err } = await machine.service([action, "--user"])
    expect([status, err]).toEqual([1, expect.stringContaining("was not written by agentchat")])
  }
  expect(readFileSync(machine.unit, "utf8")).toBe("[Service]\n")
  expect(machine.calls()).toEqual([])
})

it("service finds a mistake in the options before it writes, and says what systemctl refused", async () => {
  const machine = new Machine()
  const mistaken = await machine.service(["install", "--user", "--", "--prot", "1"])
  expect([mistaken.status, mistaken.err]).toEqual([2, expect.stringContaining("did you mean --port?")])
  expect((await machine.service(["install", "--user", "daemon", "a/b"])).status).toBe(2)
  expect(existsSync(machine.unit)).toBe(false)
  const refused = await machine.service(["install", "--user"], "enable")
  expect(refused.status).not.toBe(0)
  expect(refused.err).toContain("agentchat-relay.service is written; systemctl --user enable")
  expect(refused.err).toContain("refused")
  expect((await machine.service(["uninstall", "--user"], "disable")).status).not.toBe(0)
  expect(existsSync(machine.unit)).toBe(true)
})

const spec: ServiceSpec = {
  kind: "relay",
  name: "agentchat-relay",
  isUser: false,
  program: ["/usr/bin/env", "node"],
  options: [],
  cwd: "/srv/my project",
  home: "/srv/my project/.agentchat",
  account: "root",
}

it("a unit passes every word of the command line on as it is", () => {
  const words = ['a "b"', "50%", "$HOME", "back\\slash", "it's;", "${STATE_DIRECTORY}/x"]
  expect(systemdUnit({ ...spec, options: words })).toContain(
    'serve "a \\"b\\"" "50%%" "$$HOME" "back\\\\slash" "it\'s;" "${STATE_DIRECTORY}/x"\n',
  )
  expect(() => systemdUnit({ ...spec, options: ["a\nExecStart=/bin/sh"] })).toThrow("has a line break")
  expect(() => systemdUnit({ ...spec, kind: "daemon", cwd: "/a\nUser=root" })).toThrow("has a line break")
})

it.runIf(hasProgram("systemd-analyze"))("systemd accepts the units and rates them as well protected", () => {
  for (const kind of ["relay", "daemon"] as const) {
    const room = new CommandRoom()
    const file = join(room.dir, "agentchat-x.service")
    writeFileSync(file, systemdUnit({ ...spec, kind, cwd: room.dir, home: room.home }))
    expect(execFileSync("systemd-analyze", ["verify", file], { encoding: "utf8", stdio: "pipe" })).toBe("")
    // The exposure from 0 to 100, in tenths of the figure that `security` prints.
    execFileSync("systemd-analyze", ["security", "--offline=true", "--threshold=25", file], { stdio: "pipe" })
  }
})

it("launchd gets a property list in which no word is markup", async () => {
  const { runService } = await import("../../src/cli/service/service-run.js")
  const printed: unknown[] = []
  const context = {
    io: { json: (value: unknown) => printed.push(value) },
    config: { json: true, home: ".agentchat" },
    outline: () => Promise.resolve([]),
    env: { HOME: "/Users/ann" },
    system: { nodePath: "/n&n/node", scriptPath: "/a<b>/agentchat.js", cwd: "/tmp", uid: 501 },
  } as unknown as Parameters<typeof runService>[0]
  await runService(context, { action: "print", words: [], isUser: true }, "darwin")
  expect(printed).toEqual([
    expect.objectContaining({
      file: "/Users/ann/Library/LaunchAgents/agentchat-relay.plist",
      content: expect.stringContaining("<string>/a&lt;b&gt;/agentchat.js</string>") as string,
    }),
  ])
  expect(JSON.stringify(printed)).toContain("/Users/ann/Library/Application Support/agentchat/store")
})

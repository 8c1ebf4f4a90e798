import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { mergeConfig, wantsColor } from "../../src/cli/config.js"
import { isRoot, SmallDisk } from "../kit/file-system.js"
import { temporaryDirectory } from "../kit/temporary.js"

const noFlags = { json: false, quiet: false, home: undefined }

describe("mergeConfig", () => {
  it("prefers options to the environment, and the environment to the defaults", () => {
    expect(mergeConfig(noFlags, {}, "/home/agent", 0).home).toBe("/home/agent/.agentchat")
    expect(mergeConfig(noFlags, { AGENTCHAT_HOME: "there" }, "/home/agent", 0).home).toBe("/home/agent/there")
    expect(
      mergeConfig({ ...noFlags, home: "/flag" }, { AGENTCHAT_HOME: "there" }, "/home/agent", 0).home,
    ).toBe("/flag")
  })

  it("treats an empty variable as absent", () => {
    expect(
      mergeConfig(noFlags, { AGENTCHAT_HOME: "", AGENTCHAT_SERVER: "" }, "/home/agent", 0),
    ).toMatchObject({
      home: "/home/agent/.agentchat",
      server: undefined,
    })
  })

  it("finds .agentchat in the nearest directory above, below the parent of the user's home directory", () => {
    const root = temporaryDirectory()
    const inside = join(root, "users/ann/project/src/deep")
    mkdirSync(inside, { recursive: true })
    const find = (uid = process.getuid?.() ?? 0) =>
      mergeConfig(noFlags, { HOME: join(root, "users/ann") }, inside, uid)
    for (const above of [".agentchat", "users/.agentchat"]) mkdirSync(join(root, above))
    expect(find()).toMatchObject({ home: join(inside, ".agentchat"), shownHome: ".agentchat" })
    mkdirSync(join(root, "users/ann/.agentchat"))
    expect(find()).toMatchObject({
      home: join(root, "users/ann/.agentchat"),
      shownHome: "../../../.agentchat",
    })
    writeFileSync(join(root, "users/ann/project/.agentchat"), "not a directory")
    expect(find().home).toBe(join(root, "users/ann/.agentchat"))
    expect(find(12_345).home).toBe(join(inside, ".agentchat"))
    mkdirSync(join(inside, ".agentchat"))
    expect(find(12_345).shownHome).toBe(".agentchat")
  })

  it.runIf(isRoot())("finds no .agentchat beyond the file system of the working directory", () => {
    const mounted = new SmallDisk(1024 * 1024).path
    const inside = join(mounted, "src")
    mkdirSync(inside)
    mkdirSync(join(mounted, "../.agentchat"))
    const find = () => mergeConfig(noFlags, {}, inside, process.getuid?.() ?? 0).shownHome
    expect(find()).toBe(".agentchat")
    mkdirSync(join(mounted, ".agentchat"))
    expect(find()).toBe("../.agentchat")
  })

  it("names AGENTCHAT_NAME if it is no name", () => {
    expect(mergeConfig(noFlags, { AGENTCHAT_NAME: "ann" }, "/home/agent", 0).name).toBe("ann")
    expect(() => mergeConfig(noFlags, { AGENTCHAT_NAME: "../x" }, "/home/agent", 0)).toThrow(
      /^AGENTCHAT_NAME: /,
    )
  })

  it("returns a frozen object", () => {
    expect(Object.isFrozen(mergeConfig(noFlags, {}, "/home/agent", 0))).toBe(true)
  })
})

describe("wantsColor", () => {
  it.each([
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ TERM: "dumb" }, true, false],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "1", NO_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
  ])("returns for %j and terminal %s: %s", (env, isTerminal, expected) => {
    expect(wantsColor(env, isTerminal)).toBe(expected)
  })
})

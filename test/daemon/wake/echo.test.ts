import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import {
  confirmRing,
  confirmWait,
  newNonce,
  ringNonceIn,
  takeEchoes,
  writeStanding,
} from "../../../src/daemon/wake/echo.js"
import { temporaryDirectory } from "../../kit/temporary.js"

function place() {
  const paths = { echoes: join(temporaryDirectory(), "echoes") }
  mkdirSync(paths.echoes)
  return paths
}

describe("the echo of a ring", () => {
  it("is the number in its text, once, with the time it was written", () => {
    const paths = place()
    const nonce = newNonce()
    expect(ringNonceIn(`a line\nagentchat-ring ${nonce}: 2 unread`)).toBe(nonce)
    expect(confirmRing(paths, nonce, 5)).toBe(true)
    expect(confirmRing(paths, nonce, 6)).toBe(false)
    expect(takeEchoes(paths)).toEqual([{ nonce, ts: 5, method: undefined }])
    expect(takeEchoes(paths)).toEqual([])
  })

  it.each(["", "agentchat-ring", "agentchat-ring 12", `agentchat-ring ${"A".repeat(32)}`, "a".repeat(32)])(
    "is not in %j",
    (text) => {
      expect(ringNonceIn(text)).toBeUndefined()
    },
  )

  it.each(["../../x", "wait", "A".repeat(32), "", `${"a".repeat(32)}/x`])(
    "writes no file for the number %j",
    (nonce) => {
      const paths = place()
      expect(confirmRing(paths, nonce, 1)).toBe(false)
      expect(takeEchoes(paths)).toEqual([])
    },
  )

  it("leaves nothing behind where no daemon waits for one", () => {
    const paths = { echoes: join(temporaryDirectory(), "echoes") }
    expect(confirmRing(paths, newNonce(), 1)).toBe(false)
    expect(confirmWait(paths, 1)).toBe(false)
    expect(existsSync(paths.echoes)).toBe(false)
  })

  it("follows no link that a checkout put in its place", () => {
    const paths = place()
    const nonce = newNonce()
    const target = join(temporaryDirectory(), "target")
    writeFileSync(target, "as it was")
    symlinkSync(target, join(paths.echoes, nonce))
    expect(confirmRing(paths, nonce, 1)).toBe(false)
  })

  it("of a wait is the number that its daemon wrote down, with how it waited", () => {
    const paths = place()
    const nonce = newNonce()
    writeStanding(paths, nonce)
    expect(confirmWait(paths, 7)).toBe(true)
    expect(takeEchoes(paths)).toEqual([{ nonce, ts: 7 }])
  })
})

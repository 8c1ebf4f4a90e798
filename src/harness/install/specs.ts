import type { Harness } from "../harness.js"
import { amp } from "./amp.js"
import { antigravity } from "./antigravity.js"
import { claude } from "./claude.js"
import { codex } from "./codex.js"
import { copilot } from "./copilot.js"
import { cursor } from "./cursor.js"
import { gemini } from "./gemini.js"
import { goose } from "./goose.js"
import { kimi } from "./kimi.js"
import { opencode } from "./opencode.js"
import type { HarnessSpec } from "./spec.js"

/** All harnesses. */
export const harnessSpecs: Readonly<Record<Harness, HarnessSpec>> = {
  ...{ claude, codex, opencode, gemini, antigravity },
  ...{ cursor, copilot, amp, goose, kimi },
}

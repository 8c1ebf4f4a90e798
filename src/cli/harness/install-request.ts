/** Makes the request of install, uninstall and doctor from options and surroundings. */
import { isAbsolute } from "node:path"
import { HARNESSES, type Harness } from "../../harness/harness.js"
import { isPresent, programOf, readSkill } from "../../harness/install/detect.js"
import { type FileRequest, type HarnessSpec, placesOf, type Scope } from "../../harness/install/spec.js"
import { harnessSpecs } from "../../harness/install/specs.js"
import { ChatError } from "../../protocol/errors.js"
import type { Context } from "../context.js"

/** @throws {ChatError} NOT_FOUND if there is no home directory */
export function fileRequest(
  { env, system }: Context,
  scope: Scope,
  claims: FileRequest["claims"],
): FileRequest {
  const home = env["HOME"] ?? ""
  if (!isAbsolute(home)) {
    throw new ChatError("NOT_FOUND", "HOME: is not set to an absolute path", { hint: "export HOME=~" })
  }
  const places = placesOf(env, home, system.cwd)
  return { places, scope, program: programOf(system), skill: readSkill(), claims }
}

/** Returns the harnesses to install for: the named one, or all that are here. @throws {ChatError} NOT_FOUND if none is */
export function chosenHarnesses(
  { system }: Context,
  word: Harness | "all" | undefined,
  { places }: FileRequest,
): HarnessSpec[] {
  if (word !== undefined && word !== "all") return [harnessSpecs[word]]
  const present = HARNESSES.map((name) => harnessSpecs[name]).filter((spec) =>
    isPresent(spec, places, system.searchPath),
  )
  if (present.length > 0) return present
  throw new ChatError("NOT_FOUND", `no coding harness is here (${HARNESSES.join(", ")})`, {
    hint: "name one that is to come: agentchat install --harness claude",
  })
}

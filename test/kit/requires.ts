import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"

const reported = new Set<string>()

/**
 * Reports whether a program that some tests need is on the PATH; for `describe.runIf(hasProgram("tmux"))`.
 * A missing one skips those tests loudly on a developer's machine and fails them where `CI` is set,
 * because there `.ci/run` installs it.
 * @throws Error in CI, naming the program
 */
export function hasProgram(name: string, env: NodeJS.ProcessEnv = process.env): boolean {
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "")
  return hasAbility(name, () => folders.some((folder) => isExecutable(join(folder, name))), env)
}

/**
 * Reports whether an ability is present, such as the right to mount a file system.
 * @param name - what is needed, as the reader of a test report should see it
 * @param isPresent - finds out; asked at once
 * @throws Error in CI, naming what is missing
 */
export function hasAbility(
  name: string,
  isPresent: () => boolean,
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  if (isPresent()) return true
  if ((env["CI"] ?? "") !== "") throw new Error(`${name} is missing; .ci/run provides what the tests need`)
  if (!reported.has(name)) {
    reported.add(name)
    console.warn(`SKIPPED: tests that need ${name}, which this machine does not have`)
  }
  return false
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

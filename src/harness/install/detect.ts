/** Finds the harnesses of a user, and this program as they shall call it. */
import { accessSync, constants, existsSync, readFileSync, realpathSync, statSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"
import type { HarnessSpec, Places, Program } from "./spec.js"

/** Reports whether a harness has been used here or its program is installed. */
export function isPresent(spec: HarnessSpec, places: Places, searchPath: string): boolean {
  if (spec.folders(places).some((folder) => existsSync(folder))) return true
  return spec.programs.some((name) => programsIn(searchPath, name).length > 0)
}

function programsIn(searchPath: string, name: string): string[] {
  return searchPath
    .split(delimiter)
    .filter((directory) => isAbsolute(directory))
    .map((directory) => join(directory, name))
    .filter(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** This program, as it runs. */
export interface RunningProgram {
  readonly nodePath: string
  readonly scriptPath: string
  readonly searchPath: string
  readonly version: string
}

/**
 * Returns absolute paths of Node and the script. Node's path is one of PATH if one leads to the same program, because the
 * real path of some package managers changes with each version.
 */
export function programOf({ nodePath, scriptPath, searchPath, version }: RunningProgram): Program {
  const isNode = (path: string) => realPath(path) === realPath(nodePath)
  const node = programsIn(searchPath, "node").find(isNode) ?? nodePath
  return { node, script: realPath(scriptPath), version }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Reads the skill from the package, whose directory is above this file, in src/ as in dist/. */
export function readSkill(): string {
  let folder = new URL(".", import.meta.url)
  while (!existsSync(new URL("SKILL.md", folder))) folder = new URL("..", folder)
  return readFileSync(new URL("SKILL.md", folder), "utf8")
}

/** The repository and the paths that a command about claims is for. */
import { resolve } from "node:path"
import { findRepository, nameOf, pathIn, type Repository } from "../../daemon/claims/repository.js"
import { claimPath, maxPaths, repositoryName } from "../../protocol/claims.js"
import { ChatError } from "../../protocol/errors.js"
import { Fault } from "../../protocol/schema.js"
import { type Parse, value } from "../command.js"
import type { Context } from "../context.js"

const repository: Parse<string> = (text, label) => {
  const isName = !(repositoryName.read(text) instanceof Fault)
  const name = isName ? text : nameOf(text)
  if (name !== undefined && !(repositoryName.read(name) instanceof Fault)) return name
  throw new ChatError("USAGE", `${label}: must be a name or a URL of a repository`)
}

/** The option that names the repository. */
export const repoOption = value(
  "NAME",
  "the repository, a name or URL (default: the remote of the checkout here, else its directory)",
  repository,
)

/** Returns the repository of the working directory, under the name of `--repo` if that is given. */
export function chooseRepository({ system }: Context, name: string | undefined): Repository {
  const found = findRepository(system.cwd)
  return name === undefined ? found : { ...found, name }
}

/**
 * Returns paths of the command line as claims have them.
 * @throws {ChatError} USAGE, naming the path
 */
export function pathsIn({ system }: Context, repository: Repository, paths: readonly string[]): string[] {
  if (paths.length > maxPaths) throw new ChatError("USAGE", `PATH: at most ${maxPaths} paths at once`)
  return paths.map((path) => {
    const isFolder = path.endsWith("/")
    const found = pathIn(repository, resolve(system.cwd, path) + (isFolder ? "/" : ""))
    if (found !== undefined) return found
    const label = JSON.stringify(path.slice(0, 80))
    const isOutside =
      !(claimPath.read(path) instanceof Fault) || path.startsWith("..") || path.startsWith("/")
    const problem = isOutside
      ? `is not in the repository ${repository.root}`
      : "must be a path of at most 256 characters without controls, or a glob with * and **"
    throw new ChatError("USAGE", `PATH: ${label} ${problem}`)
  })
}

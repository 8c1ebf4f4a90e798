/** Reads the files that options of `serve` name. */
import { resolve } from "node:path"
import { readSecretFile } from "../../identity/secret-file.js"
import { ChatError } from "../../protocol/errors.js"
import { parseSpaceName, type SpaceName } from "../../protocol/spaces.js"
import type { Parse } from "../command.js"
import { readNamedFile, readSmallText } from "./text-source.js"
import { named } from "./values.js"

/**
 * Returns the URL of a NATS server: the text itself, or for `@FILE` the contents of a file that only its owner can
 * read.
 * @param directory - directory that FILE is relative to
 * @throws {ChatError} USAGE if the text itself has credentials, which other users could see in the list of processes;
 * NOT_FOUND, BAD_IDENTITY
 */
export function readBackboneAddress(text: string, directory: string): string {
  if (!text.startsWith("@")) {
    if (!text.includes("@")) return text
    throw new ChatError("USAGE", "--backbone: other users can see credentials on a command line", {
      hint: "put the URL into a file of mode 0600 and use --backbone @FILE",
    })
  }
  const path = resolve(directory, text.slice(1))
  try {
    return readSecretFile(path).text.trim()
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "NOT_FOUND") throw error
    throw new ChatError("NOT_FOUND", `--backbone: ${path}: no such file`, { cause: error })
  }
}

/**
 * Returns who may read the numbers of a relay; undefined if nobody may.
 * @param path - of a file that only its owner can read, with a token; "" for no token
 * @throws {ChatError} NOT_FOUND, BAD_IDENTITY; USAGE for a token that could be guessed
 */
export function metricsAccess(path: string | undefined, directory: string): { token?: string } | undefined {
  if (path === undefined) return undefined
  if (path === "") return {}
  const token = readSecretFile(resolve(directory, path)).text.trim()
  if (/^[\x21-\x7e]{16,}$/.test(token)) return { token }
  throw new ChatError("USAGE", `--metrics: ${path}: must hold 16 or more visible characters without spaces`, {
    hint: `make one: openssl rand -hex 32 > ${path}; chmod 600 ${path}`,
  })
}

const shownCharacters = 40

/**
 * Reads the operators of a relay: a did:key or the id of a key per line; `#` starts a comment.
 * @param check - throws a ChatError for a line that names no key
 * @throws {ChatError} NOT_FOUND, FILE_FAILED; USAGE, naming the line
 */
export function readOperatorsFile(path: string, check: (name: string) => unknown): string[] {
  const label = "--operators"
  const found: string[] = []
  for (const [index, line] of readSmallText(path, label).split(/\r?\n/).entries()) {
    const name = line.replace(/#.*$/, "").trim()
    if (name === "") continue
    try {
      check(name)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      const shown = JSON.stringify(name.slice(0, shownCharacters))
      throw new ChatError("USAGE", `${label}: ${path}: line ${index + 1}: ${shown}: ${error.message}`, {
        hint: "write a did:key, or its @id; see: agentchat identity --show",
        cause: error,
      })
    }
    found.push(name)
  }
  return found
}

/** Reads a certificate and its key. @throws {ChatError} USAGE if only one is given; NOT_FOUND, FILE_FAILED */
export function readTls(
  cert: string | undefined,
  key: string | undefined,
): { cert: string; key: string } | undefined {
  if (cert === undefined && key === undefined) return undefined
  if (cert === undefined || key === undefined) {
    const missing = cert === undefined ? "cert" : "key"
    throw new ChatError("USAGE", `--tls-${missing}: is missing; give both or neither`)
  }
  return {
    cert: readNamedFile(cert, "--tls-cert").toString("utf8"),
    key: readNamedFile(key, "--tls-key").toString("utf8"),
  }
}

/** Returns a remark on a relay that other machines reach and that is open or unencrypted; undefined for any other. */
export function exposureNote(host: string, isClosed: boolean, hasTls: boolean): string | undefined {
  if (/^(?:127\.|localhost$|\[?::1\]?$)/i.test(host) || (isClosed && hasTls)) return undefined
  const risks = [
    ...(isClosed ? [] : ["anybody who reaches it may join: --closed"]),
    ...(hasTls ? [] : ["nothing is encrypted: --tls-cert, or a proxy with TLS"]),
  ]
  return `other machines reach this relay; ${risks.join("; ")}`
}

export const space: Parse<SpaceName> = (text, label) => named(label, () => parseSpaceName(text))

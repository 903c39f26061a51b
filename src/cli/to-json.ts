/** What a handler's snapshot may hold and JSON cannot: maps, sets, typed arrays, big integers. */

/**
 * A value that JSON.stringify prints without loss where there is a way: a Map with text or number keys becomes an object, other Maps a list
 * of pairs, Sets and typed arrays lists, a bigint a number where it is exact and text where not.
 */
export function toJson(value: unknown): unknown {
  return convert(value, new Set())
}

function convert(value: unknown, parents: Set<object>): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value !== 'object' || value === null) return value === undefined ? null : value
  if (parents.has(value)) return '[circular]'
  parents.add(value)
  const converted = convertObject(value, parents)
  parents.delete(value)
  return converted
}

function convertObject(value: object, parents: Set<object>): unknown {
  const inner = (item: unknown): unknown => convert(item, parents)
  if (Array.isArray(value)) return value.map(inner)
  if (value instanceof Date) return value
  if (value instanceof Error) return { name: value.name, message: value.message }
  if (value instanceof RegExp) return String(value)
  if (value instanceof Set) return [...value].map(inner)
  if (value instanceof Map) {
    const pairs = [...value] as [unknown, unknown][]
    if (pairs.every(([key]) => typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint')) {
      return plainObject(pairs.map(([key, item]) => [String(key), inner(item)]))
    }
    return pairs.map(([key, item]) => [inner(key), inner(item)])
  }
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return Array.from(new Uint8Array(value))
  if (value instanceof DataView) return Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<number | bigint>, inner)
  return plainObject(Object.entries(value).map(([key, item]) => [key, inner(item)]))
}

/** Object.fromEntries defines properties, so that a key `__proto__` is a key. */
function plainObject(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries)
}

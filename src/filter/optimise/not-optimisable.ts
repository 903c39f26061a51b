/** Pure. */

/** Thrown for a graph that is left as it is. */
export class NotOptimisable extends Error {}

/** What a newer commit of a branch does to older runs that are under way: ends what has not begun, ends all, or nothing. */
export const supersedeModes = ['queued', 'all', 'never'] as const
export type Supersede = (typeof supersedeModes)[number]

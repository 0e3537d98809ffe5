// Lets cacache be imported: it has no types of its own, and calls.ts has those that are needed.
declare module 'cacache'

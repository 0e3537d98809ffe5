// @simple-cdn/geo: where clients are, by a database in MaxMind's format.
export { type GeoDatabase, type GeoDatabaseOptions, geoDatabase } from './geo-database.ts'

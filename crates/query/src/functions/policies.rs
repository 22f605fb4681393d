//! TimescaleDB's functions and procedures about jobs: the session does what they say.

/// As the list of `timescale`: name (with its schema where that is not `public`) | kind | arguments
/// | how many have defaults | result | columns of a record.
pub(super) const CALLS: &str = "\
add_job|f|proc regproc,schedule_interval interval,config jsonb,initial_start timestamptz,scheduled boolean,check_config regproc,fixed_schedule boolean,timezone text,job_name text|7|integer|
alter_job|s|job_id integer,schedule_interval interval,max_runtime interval,max_retries integer,retry_period interval,scheduled boolean,config jsonb,next_start timestamptz,if_exists boolean,check_config regproc,fixed_schedule boolean,initial_start timestamptz,timezone text,job_name text,config_merge jsonb|14|record|job_id integer,schedule_interval interval,max_runtime interval,max_retries integer,retry_period interval,scheduled boolean,config jsonb,next_start timestamptz,check_config text,fixed_schedule boolean,initial_start timestamptz,timezone text,application_name name
delete_job|f strict|job_id integer|0|void|
run_job|p|job_id integer|0|void|
add_retention_policy|f|relation regclass,drop_after any,if_not_exists boolean,schedule_interval interval,initial_start timestamptz,timezone text,drop_created_before interval|6|integer|
remove_retention_policy|f strict|relation regclass,if_exists boolean|1|void|
add_compression_policy|f|hypertable regclass,compress_after any,if_not_exists boolean,schedule_interval interval,initial_start timestamptz,timezone text,compress_created_before interval|6|integer|
remove_compression_policy|f strict|hypertable regclass,if_exists boolean|1|boolean|
add_columnstore_policy|p|hypertable regclass,after any,if_not_exists boolean,schedule_interval interval,initial_start timestamptz,timezone text,created_before interval|6|void|
remove_columnstore_policy|p|hypertable regclass,if_exists boolean|1|void|
add_reorder_policy|f|hypertable regclass,index_name name,if_not_exists boolean,initial_start timestamptz,timezone text|3|integer|
remove_reorder_policy|f strict|hypertable regclass,if_exists boolean|1|void|
add_continuous_aggregate_policy|f|continuous_aggregate regclass,start_offset any,end_offset any,schedule_interval interval,if_not_exists boolean,initial_start timestamptz,timezone text,include_tiered_data boolean,buckets_per_batch integer,max_batches_per_execution integer,refresh_newest_first boolean|7|integer|
remove_continuous_aggregate_policy|f|continuous_aggregate regclass,if_not_exists boolean,if_exists boolean|2|void|
timescaledb_experimental.add_policies|f|relation regclass,if_not_exists boolean,refresh_start_offset any,refresh_end_offset any,compress_after any,drop_after any|5|boolean|
timescaledb_experimental.alter_policies|f|relation regclass,if_exists boolean,refresh_start_offset any,refresh_end_offset any,compress_after any,drop_after any|5|boolean|
timescaledb_experimental.remove_policies|f|relation regclass,if_exists boolean,policy_names text[]|2|boolean|
timescaledb_experimental.remove_all_policies|f|relation regclass,if_exists boolean|1|boolean|
timescaledb_experimental.show_policies|s|relation regclass|0|jsonb|
_timescaledb_functions.policy_compression|p|job_id integer,config jsonb|0|void|
_timescaledb_functions.policy_compression_check|f|config jsonb|0|void|
_timescaledb_functions.policy_retention|p|job_id integer,config jsonb|0|void|
_timescaledb_functions.policy_retention_check|f|config jsonb|0|void|
_timescaledb_functions.policy_reorder|p|job_id integer,config jsonb|0|void|
_timescaledb_functions.policy_reorder_check|f|config jsonb|0|void|
_timescaledb_functions.policy_refresh_continuous_aggregate|p|job_id integer,config jsonb|0|void|
_timescaledb_functions.policy_refresh_continuous_aggregate_check|f|config jsonb|0|void|";

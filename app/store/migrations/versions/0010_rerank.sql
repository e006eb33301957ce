alter table tenant add column rerank boolean not null default false;
